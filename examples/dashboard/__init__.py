"""One dashboard, mounted in six ways. Run them from `examples`, each as its first line says."""
