package board_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

func TestATaskFromOrderToForget(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.node("vm1", 3)
		id := r.order("send")
		r.order("send", func(task *nic.Task) { task.Container = "another" }) // once
		if err := r.Order(ctx, nic.Task{ID: id, Node: "vm2", Move: move, Kind: nic.TaskStop, Within: 1}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("the same task to another node: %v", err)
		}
		r.order("config", func(task *nic.Task) { task.Seq = 2 })
		first := r.order("before", func(task *nic.Task) { task.Seq = 0 })
		tasks, err := r.Tasks(ctx, "vm1", 3)
		if err != nil || len(tasks) != 3 || tasks[0].ID != first || tasks[1].ID != id || tasks[1].State != nic.TaskPending || tasks[1].Container != "c0ffee" {
			t.Fatalf("the node is given %+v, %v", tasks, err)
		}
		task, err := r.Begin(ctx, id, "vm1", 3)
		if err != nil || task.State != nic.TaskRunning || task.Session != 3 || task.Began.IsZero() {
			t.Fatalf("begun is %+v, %v", task, err)
		}
		if task, err := r.Cancel(ctx, id); err != nil || task.State != nic.TaskRunning {
			t.Errorf("cancelled while it runs: %+v, %v", task, err)
		}
		if err := r.Progress(ctx, id, "vm1", 3, 10, 20); err != nil {
			t.Error(err)
		}
		result := nic.TaskResult{Copied: &nic.Copied{Bytes: 1 << 60, SHA256: "00"}, Node: &nic.NodeFacts{Disk: 1<<62 + 1}}
		for range 2 { // the first reply may be lost
			if err := r.Finish(ctx, id, "vm1", 3, "", result); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Finish(ctx, id, "vm1", 3, "another word", nic.TaskResult{}); err != nil {
			t.Error(err)
		}
		task, err = r.Await(ctx, id, nil)
		if err != nil || task.State != nic.TaskDone || task.Bytes != 1<<60 || task.Total != 20 || task.Ended.IsZero() {
			t.Errorf("awaited is %+v, %v", task, err)
		}
		if diff := cmp.Diff(result, task.Result); diff != "" {
			t.Errorf("the result has changed on the way:\n%s", diff)
		}
		if tasks, err := r.Tasks(ctx, "vm1", 0); err != nil || len(tasks) != 2 {
			t.Errorf("left are %+v, %v", tasks, err)
		}
		for range 2 {
			if err := r.Forget(ctx, move); err != nil {
				t.Error(err)
			}
		}
		if records, _, err := r.store.List(ctx, "task", "", 0); err != nil || len(records) != 0 {
			t.Errorf("forgotten, there are %d records, %v", len(records), err)
		}
		if _, err := r.Await(ctx, id, nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("awaited after it was forgotten: %v", err)
		}
	})
}

// A task of which somebody has said that it never runs does not run, however many
// say the one and the other at once.
func TestEitherCancelledOrBegun(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		r.node("vm1", 1)
		won := map[bool]int{}
		for i := range 20 {
			id := r.order(fmt.Sprint(i))
			var begun, cancelled atomic.Int32
			var all sync.WaitGroup
			for n := range 16 {
				all.Go(func() {
					if n%2 == 0 {
						if task, err := r.Cancel(t.Context(), id); err != nil {
							t.Error(err)
						} else if task.State == nic.TaskCancelled {
							cancelled.Add(1)
						}
						return
					}
					switch _, err := r.Begin(t.Context(), id, "vm1", 1); {
					case err == nil:
						begun.Add(1)
					case !api.IsConflict(err):
						t.Error(err)
					}
				})
			}
			all.Wait()
			if b, c := begun.Load(), cancelled.Load(); b+c != 8 || b != 0 && c != 0 {
				t.Errorf("%d were told that it runs, and %d that it never does", b, c)
			}
			won[begun.Load() > 0]++
		}
		t.Logf("begun %d times, cancelled %d", won[true], won[false])
	})
}

// What a node may not do to a task: to that of another, with a session that is not
// the newest, and out of turn.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	r := open(t, memstore.New(memstore.Options{}))
	r.node("vm1", 5)
	r.node("vm2", 5)
	pending, cancelled, running := r.order("pending"), r.order("cancelled"), r.order("running")
	if _, err := r.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Begin(t.Context(), running, "vm1", 5); err != nil {
		t.Fatal(err)
	}
	begin := func(id nic.TaskID, node string, session uint64) error {
		_, err := r.Begin(t.Context(), id, node, session)
		return err
	}
	progress := func(id nic.TaskID, node string, session uint64) error {
		return r.Progress(t.Context(), id, node, session, 1, 2)
	}
	finish := func(id nic.TaskID, node string, session uint64) error {
		return r.Finish(t.Context(), id, node, session, "", nic.TaskResult{})
	}
	before := r.revision()
	for name, c := range map[string]struct {
		do      func(nic.TaskID, string, uint64) error
		id      nic.TaskID
		node    string
		session uint64
		want    api.Code // "" is store.ErrNotFound
	}{
		"begin another node's":      {begin, pending, "vm2", 5, ""},
		"begin with an old session": {begin, pending, "vm1", 4, api.CodeConflict},
		"begin with one to come":    {begin, pending, "vm1", 6, api.CodeConflict},
		"begin without one":         {begin, pending, "vm1", 0, api.CodeInvalid},
		"begin a cancelled one":     {begin, cancelled, "vm1", 5, api.CodeConflict},
		"begin what is not there":   {begin, taskOf(move, "x"), "vm1", 5, ""},
		"begin what is no id":       {begin, "../../node/vm1", "vm1", 5, ""},
		"tell of another node's":    {progress, running, "vm2", 5, ""},
		"tell of a pending one":     {progress, pending, "vm1", 5, api.CodeConflict},
		"tell with an old session":  {progress, running, "vm1", 4, api.CodeConflict},
		"tell of a cancelled one":   {progress, cancelled, "vm1", 5, api.CodeConflict},
		"finish another node's":     {finish, running, "vm2", 5, ""},
		"finish what is not begun":  {finish, pending, "vm1", 5, api.CodeConflict},
		"finish a cancelled one":    {finish, cancelled, "vm1", 5, api.CodeConflict},
		"finish with an old":        {finish, running, "vm1", 4, api.CodeConflict},
		"finish without one":        {finish, running, "vm1", 0, api.CodeInvalid},
		"finish what is no id":      {finish, "mov-0123456789abcdef./", "vm1", 5, ""},
	} {
		err := c.do(c.id, c.node, c.session)
		if api.CodeOf(err) != c.want || c.want == "" && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if after := r.revision(); after != before {
		t.Errorf("%d commits were made of it", after-before)
	}
}

// An agent that takes another's place begins its tasks again, and the former's
// word counts no more.
func TestANewAgentBeginsAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.node("vm1", 1)
		id := r.begun("send")
		if _, err := r.Begin(ctx, id, "vm1", 1); err != nil {
			t.Errorf("the same agent begins again: %v", err)
		}
		r.node("vm1", 2)
		for _, err := range []error{
			r.Finish(ctx, id, "vm1", 1, "", nic.TaskResult{}),
			r.Finish(ctx, id, "vm1", 2, "", nic.TaskResult{}), // not begun by this one
			r.Progress(ctx, id, "vm1", 1, 1, 2),
		} {
			if !api.IsConflict(err) {
				t.Errorf("got %v, want a conflict", err)
			}
		}
		tasks, err := r.Tasks(ctx, "vm1", 2)
		if err != nil || len(tasks) != 1 || tasks[0].State != nic.TaskRunning {
			t.Errorf("the new agent is given %+v, %v", tasks, err)
		}
		for _, err := range []error{second(r.Tasks(ctx, "vm1", 1)), second(r.Tasks(api.WithSession(ctx, 1), "vm1", 0))} {
			if !api.IsConflict(err) {
				t.Errorf("the old agent asks what there is to do: %v", err)
			}
		}
		if task, err := r.Begin(ctx, id, "vm1", 2); err != nil || task.Session != 2 {
			t.Errorf("begun again: %+v, %v", task, err)
		}
		time.AfterFunc(10*time.Millisecond, func() {
			if err := r.Finish(ctx, id, "vm1", 2, "no room", nic.TaskResult{Again: true}); err != nil {
				t.Error(err)
			}
		})
		if task, err := r.Await(ctx, id, nil); err != nil || task.State != nic.TaskFailed || task.Error != "no room" || !task.Result.Again {
			t.Errorf("awaited is %+v, %v", task, err)
		}
	})
}

// A revoked node is given nothing and may do nothing.
func TestARevokedNode(t *testing.T) {
	t.Parallel()
	r := open(t, memstore.New(memstore.Options{}))
	r.node("vm1", 1)
	id := r.order("stop")
	r.put("node/vm1", nic.Node{Schema: nic.Schema, Name: "vm1", Session: 1, Revoked: time.Now()})
	_, err := r.Tasks(t.Context(), "vm1", 1)
	for _, err := range []error{err, second(r.Begin(t.Context(), id, "vm1", 1))} {
		if !api.IsRefused(err) {
			t.Errorf("got %v, want refused", err)
		}
	}
	if _, err := r.Tasks(t.Context(), "vm9", 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown node: %v", err)
	}
}

// Whoever waits is woken by what another controller is told, at once, and hears of
// the progress.
func TestAwaitIsWoken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here := open(t, memstore.New(memstore.Options{History: 4})) // falls behind now and then
		there := open(t, here.store)
		there.node("vm1", 1)
		id := here.order("send")
		var heard []int64
		done := make(chan nic.Task)
		go func() {
			task, err := here.Await(t.Context(), id, func(task nic.Task) { heard = append(heard, task.Bytes) })
			if err != nil {
				t.Error(err)
			}
			done <- task
		}()
		synctest.Wait()
		if _, err := there.Begin(t.Context(), id, "vm1", 1); err != nil {
			t.Fatal(err)
		}
		for i := range int64(3) {
			time.Sleep(time.Second)
			for n := range 10 {
				there.put(fmt.Sprint("other/", n), n)
			}
			if err := there.Progress(t.Context(), id, "vm1", 1, i+1, 3); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		began := time.Now()
		if err := there.Finish(t.Context(), id, "vm1", 1, "", nic.TaskResult{}); err != nil {
			t.Fatal(err)
		}
		if task := <-done; task.State != nic.TaskDone || time.Since(began) != 0 {
			t.Errorf("awaited is %+v, after %s", task, time.Since(began))
		}
		if want := "[0 0 1 2 3]"; fmt.Sprint(heard) != want {
			t.Errorf("heard of %v, want %s", heard, want)
		}
	})
}

// Where the waiting ends before the task does, the error says how far it is.
func TestAwaitThatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memstore.New(memstore.Options{}))
		r.node("vm1", 1)
		pending, running := r.order("stop"), r.begun("stop-source")
		for id, want := range map[nic.TaskID]string{pending: "has not begun it: is its agent running", running: "and has not finished"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := r.Await(ctx, id, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", id, err)
			}
		}
		waiting := make(chan error)
		go func() { waiting <- second(r.Await(t.Context(), pending, nil)) }()
		synctest.Wait()
		if err := r.Forget(t.Context(), move); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgotten while one waits: %v", err)
		}
		if _, err := r.Await(t.Context(), taskOf(move, "never"), nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("never given: %v", err)
		}
		if _, err := r.Cancel(t.Context(), taskOf(move, "never")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("never given, cancelled: %v", err)
		}
	})
}

// Nobody has the store written more than twice a second by what he says of a
// task's progress.
func TestAFloodOfProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memstore.New(memstore.Options{}))
		r.node("vm1", 1)
		id := r.begun("send")
		before := r.revision()
		for i := range int64(1000) {
			if err := r.Progress(t.Context(), id, "vm1", 1, i, 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if commits := r.revision() - before; commits > 20 || commits < 19 {
			t.Errorf("%d commits in 10 s", commits)
		}
		if err := r.Progress(t.Context(), id, "vm1", 1, -1, 0); !api.IsInvalid(err) {
			t.Errorf("a negative one: %v", err)
		}
	})
}

// A sign of life wakes who waits for the task, and changes nothing of what is copied.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memstore.New(memstore.Options{}))
		r.node("vm1", 1)
		id := r.begun("send")
		if err := r.Progress(t.Context(), id, "vm1", 1, 5, 10); err != nil {
			t.Fatal(err)
		}
		before := r.revision()
		for range 10 {
			time.Sleep(time.Second)
			if err := r.Progress(t.Context(), id, "vm1", 1, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		var got nic.Task
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := r.Await(ctx, id, func(task nic.Task) { got = task; cancel() }); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if commits := r.revision() - before; commits != 5 || got.Bytes != 5 || got.Total != 10 || time.Since(got.Heard) > heardLately {
			t.Errorf("%d commits in 10 s: %+v", commits, got)
		}
	})
}

// heardLately is how old the last noted sign of life of a node at work may be.
const heardLately = 3 * time.Second

// What a node says in the end is bounded, and shows nothing but what can be read.
func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	r := open(t, memstore.New(memstore.Options{}))
	r.node("vm1", 1)
	finish := func(word, problem string, result nic.TaskResult) nic.Task {
		t.Helper()
		id := r.begun(word)
		if err := r.Finish(t.Context(), id, "vm1", 1, problem, result); err != nil {
			t.Fatal(err)
		}
		task, err := r.Await(t.Context(), id, nil)
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	if task := finish("long", strings.Repeat("ü", 10000)+"\x1b[2J", nic.TaskResult{}); len(task.Error) > 2100 || !strings.HasPrefix(task.Error, "üü") {
		t.Errorf("an error of %d bytes is kept", len(task.Error))
	}
	many := &nic.ContainerFacts{WrittenFirst: make([]string, 100000)}
	if task := finish("many", "", nic.TaskResult{Container: many, Again: true}); task.State != nic.TaskFailed || task.Result.Container != nil || !strings.Contains(task.Error, "at most 131072") {
		t.Errorf("a large result is kept as %s %q", task.State, task.Error)
	}
	odd := &nic.ContainerFacts{Name: "a\x1b]0;b\u202e\x00", Volumes: []nic.VolumeFacts{{Name: "v\n", Bytes: 1 << 62}}}
	task := finish("odd", "x\r\ny", nic.TaskResult{Container: odd})
	got := task.Result.Container
	if got == nil || got.Name != "a?]0;b??" || got.Volumes[0].Name != "v?" || got.Volumes[0].Bytes != 1<<62 || task.Error != "x??y" {
		t.Errorf("kept are %q and %+v", task.Error, got)
	}
}

// Tasks of moves that are over go after ten minutes, of those that nobody knows
// after a day.
func TestSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(t, memstore.New(memstore.Options{}))
		ids := map[string]nic.MoveID{}
		for i, name := range []string{"under way", "over", "unknown"} {
			id := nic.MoveID(fmt.Sprintf("mov-%016x", i))
			ids[name] = id
			r.order("x", func(task *nic.Task) { task.Move, task.ID = id, taskOf(id, "stop") })
		}
		r.put("move/"+string(ids["under way"]), nic.Move{Phase: nic.MoveBack})
		r.put("move/"+string(ids["over"]), nic.Move{Phase: nic.MoveDone, Ended: time.Now()})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		left := func() string {
			synctest.Wait()
			var names []string
			for _, name := range []string{"under way", "over", "unknown"} {
				if _, err := r.store.Get(ctx, "taskat/"+string(taskOf(ids[name], "stop"))); err == nil {
					names = append(names, name)
				}
			}
			return strings.Join(names, ", ")
		}
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{0, "under way, over, unknown"}, {61 * time.Minute, "under way, unknown"}, {24 * time.Hour, "under way"}, {1000 * time.Hour, "under way"}} {
			time.Sleep(c.after)
			if got := left(); got != c.want {
				t.Errorf("%s later there are %q, want %q", c.after, got, c.want)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func second[T any](_ T, err error) error { return err }
