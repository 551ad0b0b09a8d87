package server

import (
	"context"
	"net/http"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// maxFinish bounds the words at a task's end, in bytes; less of them is kept.
const maxFinish = 256 << 10

// Tasks are the orders to nodes. Whoever is not the node's newest agent gets a
// conflict; of a task that the node does not have there is none: not found.
type Tasks interface {
	// Tasks returns those that are pending or running, by move and Seq. 0 is
	// somebody who only looks.
	Tasks(ctx context.Context, node string, session uint64) ([]nic.Task, error)
	// Begin makes a task running; one that is over or cancelled is a conflict. It
	// may be called again, also by a newer session.
	Begin(ctx context.Context, id nic.TaskID, node string, session uint64) (nic.Task, error)
	// Progress and Finish are a conflict for a session that has not begun it.
	Progress(ctx context.Context, id nic.TaskID, node string, session uint64, bytes, total int64) error
	// Finish ends a task, failed if problem is not empty. It may be called again.
	Finish(ctx context.Context, id nic.TaskID, node string, session uint64, problem string, result nic.TaskResult) error
}

// taskInput is the input of a route about one task of a node.
type taskInput struct {
	Name string `path:"name"`
	ID   string `path:"id"`
}

type taskProgressInput struct {
	Name string `path:"name"`
	ID   string `path:"id"`
	Body api.TaskProgress
}

type taskFinishInput struct {
	Name string `path:"name"`
	ID   string `path:"id"`
	Body api.TaskFinish
}

func (s *server) taskRoutes() {
	if s.Tasks == nil {
		s.Tasks = noTasks{}
	}
	list := s.operation("list-tasks", http.MethodGet, "/v1/nodes/{name}/tasks", "List the orders to a node that are not over")
	serve(s, list, func(ctx context.Context, in *wantedInput) (api.List[nic.Task], error) {
		if err := checkName("node", in.Name); err != nil {
			return api.List[nic.Task]{}, err
		}
		tasks, err := s.Tasks.Tasks(ctx, in.Name, in.Session)
		return api.NewList(tasks, ""), err
	})

	begin := s.operation("begin-task", http.MethodPost, "/v1/nodes/{name}/tasks/{id}/begin", "Say that a task is being carried out from now on")
	serve(s, begin, func(ctx context.Context, in *taskInput) (nic.Task, error) {
		if err := checkName("node", in.Name); err != nil {
			return nic.Task{}, err
		}
		return s.Tasks.Begin(ctx, nic.TaskID(in.ID), in.Name, api.SessionOf(ctx))
	})

	progress := s.operation("progress-task", http.MethodPost, "/v1/nodes/{name}/tasks/{id}/progress", "Say how far a task is")
	serveEmpty(s, progress, func(ctx context.Context, in *taskProgressInput) error {
		if err := checkName("node", in.Name); err != nil {
			return err
		}
		return s.Tasks.Progress(ctx, nic.TaskID(in.ID), in.Name, api.SessionOf(ctx), in.Body.Bytes, in.Body.Total)
	})

	finish := s.operation("finish-task", http.MethodPost, "/v1/nodes/{name}/tasks/{id}/finish", "Say that a task is over, and with what")
	finish.MaxBodyBytes = maxFinish
	serveEmpty(s, finish, func(ctx context.Context, in *taskFinishInput) error {
		if err := checkName("node", in.Name); err != nil {
			return err
		}
		return s.Tasks.Finish(ctx, nic.TaskID(in.ID), in.Name, api.SessionOf(ctx), in.Body.Error, in.Body.Result)
	})
}

// noTasks is a controller that gives no orders.
type noTasks struct{}

var errNoTask = &api.Error{Code: api.CodeNotFound, Message: "this controller gives no orders to nodes"}

func (noTasks) Tasks(context.Context, string, uint64) ([]nic.Task, error) { return nil, nil }

func (noTasks) Begin(context.Context, nic.TaskID, string, uint64) (nic.Task, error) {
	return nic.Task{}, errNoTask
}

func (noTasks) Progress(context.Context, nic.TaskID, string, uint64, int64, int64) error {
	return errNoTask
}

func (noTasks) Finish(context.Context, nic.TaskID, string, uint64, string, nic.TaskResult) error {
	return errNoTask
}
