"""One way to ask a model, and what answers: transformers here, or servers over HTTP."""
