"""ROS 2: a log onto a live graph, a live graph into a log, and what a live node needs of transforms and QoS."""
