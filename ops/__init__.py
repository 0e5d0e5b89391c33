"""What watches workers from outside: the dashboard for Grafana, and the alerts for Prometheus."""
