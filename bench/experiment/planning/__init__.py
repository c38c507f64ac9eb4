"""What is to be measured: from the text of a plan to a plan that can be measured. Starts nothing but interpreters."""
