"""The live ROS 2 node: the streaming runtime between subscriptions and publishers."""
