"""What the tests share: projects, servers, batteries of migrations."""
