package server_test

import (
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

// An agent gets its tasks and carries them out, over TLS.
func TestTasksOverTLS(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	n1 := ctl.agent("n1")
	first, second := ctl.orders.give(t, "n1"), ctl.orders.give(t, "n1")
	ctl.orders.give(t, "n3")
	if _, err := n1.BeginTask(t.Context(), "n1", first); !api.IsInvalid(err) || !strings.Contains(err.Error(), "session") {
		t.Errorf("without a session: %v", err)
	}
	if _, err := n1.Hello(t.Context(), "n1", nic.Inventory{}); err != nil { // session 1
		t.Fatal(err)
	}
	tasks, err := n1.Tasks(t.Context(), "n1", 1)
	if err != nil || len(tasks) != 2 || tasks[0].ID != first || tasks[1].ID != second {
		t.Fatalf("given are %+v, %v", tasks, err)
	}
	for range 2 {
		if task, err := n1.BeginTask(t.Context(), "n1", first); err != nil || task.State != nic.TaskRunning || task.Container != "c0ffee" {
			t.Fatalf("begun is %+v, %v", task, err)
		}
	}
	if err := n1.ProgressTask(t.Context(), "n1", first, 5, 10); err != nil {
		t.Error(err)
	}
	result := nic.TaskResult{Copied: &nic.Copied{Bytes: 10, SHA256: "00"}}
	for range 2 {
		if err := n1.FinishTask(t.Context(), "n1", first, "", result); err != nil {
			t.Error(err)
		}
	}
	if task, err := ctl.orders.Await(t.Context(), first, nil); err != nil || task.State != nic.TaskDone || task.Bytes != 10 || task.Total != 10 {
		t.Errorf("ended is %+v, %v", task, err)
	}
	if tasks, err := n1.Tasks(t.Context(), "n1", 1); err != nil || len(tasks) != 1 {
		t.Errorf("left are %+v, %v", tasks, err)
	}
	if _, err := n1.Tasks(t.Context(), "n1", 7); !api.IsConflict(err) {
		t.Errorf("another session: %v", err)
	}
}

// A node that lies breaks its own tasks and nobody else's.
func TestTasksOfOthers(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	n3 := ctl.agent("n3")
	if _, err := n3.Hello(t.Context(), "n3", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	theirs, own := ctl.orders.give(t, "n1"), ctl.orders.give(t, "n3")
	for what, c := range map[string]struct {
		err  error
		want api.Code
	}{
		"another's tasks":                   {second(n3.Tasks(t.Context(), "n1", 1)), api.CodeRefused},
		"begin another's":                   {second(n3.BeginTask(t.Context(), "n1", theirs)), api.CodeRefused},
		"begin another's as its own":        {second(n3.BeginTask(t.Context(), "n3", theirs)), api.CodeNotFound},
		"finish another's":                  {n3.FinishTask(t.Context(), "n1", theirs, "", nic.TaskResult{}), api.CodeRefused},
		"finish another's as its own":       {n3.FinishTask(t.Context(), "n3", theirs, "", nic.TaskResult{}), api.CodeNotFound},
		"finish what it has not begun":      {n3.FinishTask(t.Context(), "n3", own, "", nic.TaskResult{}), api.CodeConflict},
		"tell of what it has not begun":     {n3.ProgressTask(t.Context(), "n3", own, 1, 2), api.CodeConflict},
		"another key of the store":          {second(n3.BeginTask(t.Context(), "n3", "../n1/"+theirs)), api.CodeNotFound},
		"a result larger than may be asked": {n3.FinishTask(t.Context(), "n3", own, strings.Repeat("x", 1<<20), nic.TaskResult{}), api.CodeInvalid},
		"a negative progress":               {n3.ProgressTask(t.Context(), "n3", own, -1, 2), api.CodeInvalid},
	} {
		if api.CodeOf(c.err) != c.want {
			t.Errorf("%s: %v, want %q", what, c.err, c.want)
		}
	}
	for _, node := range []string{"n1", "n3"} {
		tasks, err := ctl.orders.Tasks(t.Context(), node, 0)
		if err != nil || len(tasks) != 1 || tasks[0].State != nic.TaskPending || tasks[0].Error != "" {
			t.Errorf("after all that %s has %+v, %v", node, tasks, err)
		}
	}
}

// A controller that gives no orders, as one of a release before there were any, has
// none, and the agent is not troubled.
func TestAControllerWithoutTasks(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *server.Options) { o.Tasks, o.Streams = nil, nil }).client()
	if tasks, err := c.Tasks(t.Context(), "n9", 1); err != nil || len(tasks) != 0 {
		t.Errorf("got %+v, %v", tasks, err)
	}
	if err := c.FinishTask(t.Context(), "n1", "x", "", nic.TaskResult{}); !api.IsNotFound(err) {
		t.Errorf("finish: %v", err)
	}
	if _, err := c.TakeStream(t.Context(), "n1", "x", nil); !api.IsNotFound(err) {
		t.Errorf("take: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
