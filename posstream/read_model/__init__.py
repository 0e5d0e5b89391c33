"""The SQL kit: engine, opening, migrations, projector."""
