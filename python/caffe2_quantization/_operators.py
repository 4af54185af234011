"""Running one operator, with an error that says what is wrong and nothing else."""

from caffe2_quantization._library import ensure_loaded, host


def make(op_type, inputs, outputs, arguments):
    """Makes an OperatorDef.

    Args:
        op_type: the operator's type.
        inputs: names of blobs.
        outputs: names of blobs.
        arguments: a dict of its arguments; those that are None are left out.

    Returns:
        The OperatorDef.
    """
    core, _ = host()
    op = core.CreateOperator(op_type, inputs, outputs)
    op.ClearField("debug_info")  # a traceback into this file
    op.arg.extend(core.utils.MakeArgument(name, value)
                  for name, value in sorted(arguments.items()) if value is not None)
    return op


def run(op, workspace=None):
    """Runs an operator of the plugin, which is loaded if need be.

    Args:
        op: an OperatorDef.
        workspace: a ``caffe2.python.workspace.C.Workspace``; by default the
            current one.

    Raises:
        RuntimeError: the operator's own message, without the host's stack.
    """
    ensure_loaded()
    _, host_workspace = host()
    try:
        if workspace is None:
            # Not Workspace.current: the host does not set it when it switches to a
            # workspace by object and not by name.
            host_workspace.C.run_operator_once(op.SerializeToString())
        else:
            workspace.run(op)
    except RuntimeError as error:
        message = own_message(op.type, str(error))
        if message is None:
            raise
        raise RuntimeError(message) from None


def remove_blob(name):
    """Removes a blob of the current workspace, if it is there.

    A workspace that was switched to by object cannot be asked for that: there the
    blob is emptied.
    """
    _, workspace = host()
    named = workspace.C.Workspace.current
    if name in named.blobs:
        named.remove_blob(name)
    elif workspace.C.has_blob(name):
        workspace.C.reset_blob(name)


def own_message(op_type, text):
    """Takes an operator's message out of the host's.

    The host says "[enforce fail at file:line] condition. MESSAGE (Error from
    operator: ...)" and then prints its stack; a message of ours starts with the
    operator's type.

    Args:
        op_type: the operator's type.
        text: what the host said.

    Returns:
        The message, or None when there is none of that form.
    """
    text = text.split("\nframe #", 1)[0].split(" (Error from operator", 1)[0]
    start = text.find(op_type + ": ")
    return None if start < 0 else text[start:].rstrip()
