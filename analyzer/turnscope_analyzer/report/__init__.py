"""Say a report in the form that its reader needs: a person at a terminal, a program, a bug tracker."""
