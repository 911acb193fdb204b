"""What only this study needs: setup, figures, results, speed, the runner of notebooks."""
