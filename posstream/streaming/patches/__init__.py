"""Everything that touches a private name of Faust, mode, aiokafka or rocksdict."""
