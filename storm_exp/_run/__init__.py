"""From a plan to artifacts and a report: making, recording, showing, the verbs."""
