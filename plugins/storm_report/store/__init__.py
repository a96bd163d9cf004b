"""The verb `store`: what a store holds, what needs it, and what may go."""
