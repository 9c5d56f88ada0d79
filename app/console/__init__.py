"""The console: pages that show runs, traces, figures and what waits for approval."""
