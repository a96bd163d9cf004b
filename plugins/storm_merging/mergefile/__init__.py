"""What a mergekit YAML says, read strictly, and the recipe that it stands for."""
