package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Tasks returns the orders to the node that are not over, each move's in the order
// in which they are to be carried out. A newer session than the given one exists:
// conflict; 0 only looks. A controller of a release without orders has none.
func (c *Client) Tasks(ctx context.Context, node string, session uint64) ([]nic.Task, error) {
	var out api.List[nic.Task]
	err := c.get(ctx, fmt.Sprintf("%s/tasks?session=%d", nodePath(node), session), &out)
	if api.IsNotFound(err) {
		return nil, nil
	}
	return out.Items, err
}

// BeginTask says that the agent carries the task out from now on, and returns it
// as it is now. One that the agent, or one before it on the node, has begun
// already may be begun again. Cancelled, over, or a newer session exists: conflict.
// Forgotten: not found. In both cases it must not be carried out.
func (c *Client) BeginTask(ctx context.Context, node string, id nic.TaskID) (nic.Task, error) {
	var task nic.Task
	err := c.do(ctx, http.MethodPost, taskPath(node, id)+"/begin", nil, &task)
	return task, err
}

// ProgressTask says how far the task is; total is 0 where it is not known. The
// controller keeps two a second at most.
func (c *Client) ProgressTask(ctx context.Context, node string, id nic.TaskID, bytes, total int64) error {
	return c.do(ctx, http.MethodPost, taskPath(node, id)+"/progress", api.TaskProgress{Bytes: bytes, Total: total}, nil)
}

// FinishTask says that the task is over: failed if problem is not empty. It may be
// said again after a lost reply; the first word counts. Not begun by this session:
// conflict.
func (c *Client) FinishTask(ctx context.Context, node string, id nic.TaskID, problem string, result nic.TaskResult) error {
	return c.do(ctx, http.MethodPost, taskPath(node, id)+"/finish", api.TaskFinish{Error: problem, Result: result}, nil)
}

func taskPath(node string, id nic.TaskID) string {
	return nodePath(node) + "/tasks/" + url.PathEscape(string(id))
}
