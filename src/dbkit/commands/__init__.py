"""What people type: one module per verb, one public function in each."""
