//go:build linux

package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// Each kind is carried out, and what the node has to say of it comes back.
func TestEachKind(t *testing.T) {
	kinds := []nic.TaskKind{
		nic.TaskDescribe, nic.TaskSurvey, nic.TaskPolicy, nic.TaskStop, nic.TaskStart, nic.TaskRemove, nic.TaskHealth, nic.TaskPull,
	}
	for _, kind := range kinds {
		bubble(t, func(t *testing.T) {
			d, e := newDesk(nic.Task{ID: nic.TaskID(kind), Kind: kind, Container: "cafe"}), newEngine()
			start(t, d, e, nil)
			synctest.Wait()
			got := d.task(nic.TaskID(kind))
			if got.State != nic.TaskDone || got.Session != 1 || !slices.Equal(e.done(), []string{string(kind)}) {
				t.Errorf("%s: %+v, the engine did %q", kind, got, e.done())
			}
			if (kind == nic.TaskDescribe) != (got.Result.Container != nil && got.Result.Container.ID == "cafe") {
				t.Errorf("%s says %+v of the container", kind, got.Result.Container)
			}
			if (kind == nic.TaskSurvey) != (got.Result.Node != nil && got.Result.Node.Moves && got.Result.Node.Docker == "20.10") {
				t.Errorf("%s says %+v of the node", kind, got.Result.Node)
			}
		})
	}
}

// The tasks of one move are carried out one after the other, by Seq, whatever
// order they are listed in; those of another do not wait for them.
func TestOneMoveInOrderManyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(), newEngine()
		hold := make(chan struct{})
		e.does["m1.c"] = func(context.Context, nic.Task) error { <-hold; return nil }
		for _, task := range []nic.Task{
			{ID: "m1.a", Move: "mov-1", Seq: 12}, {ID: "m1.b", Move: "mov-1", Seq: 3}, {ID: "m1.c", Move: "mov-1", Seq: 1}, {ID: "m2.a", Move: "mov-2", Seq: 9},
		} {
			task.Kind = nic.TaskStop
			d.order(task)
		}
		start(t, d, e, nil)
		synctest.Wait()
		if got := e.done(); !slices.Equal(got, []string{"m2.a"}) || d.task("m1.b").State != nic.TaskPending {
			t.Errorf("while the first is held, done is %q, and the second %s", got, d.task("m1.b").State)
		}
		close(hold)
		synctest.Wait()
		if got := e.done(); !slices.Equal(got, []string{"m2.a", "m1.c", "m1.b", "m1.a"}) {
			t.Errorf("done in the order %q", got)
		}
	})
}

// Streams wait for another node: however many do, other moves go on, and of those
// only so many at a time.
func TestStreamsHoldUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(), newEngine()
		hold := make(chan struct{})
		for i := range 20 {
			move := nic.MoveID(fmt.Sprintf("mov-s%d", i))
			d.order(nic.Task{ID: nic.TaskID(move), Move: move, Kind: nic.TaskTake, What: nic.StreamVolume, Stream: string(move)})
			move = nic.MoveID(fmt.Sprintf("mov-q%d", i))
			d.order(nic.Task{ID: nic.TaskID(move), Move: move, Kind: nic.TaskStop})
		}
		running := 0
		e.does[string(nic.TaskStop)] = func(context.Context, nic.Task) error {
			e.mu.Lock()
			running++
			e.mu.Unlock()
			<-hold
			return nil
		}
		_, stop := start(t, d, e, nil)
		synctest.Wait()
		e.mu.Lock()
		got := running
		e.mu.Unlock()
		if got != 8 {
			t.Errorf("%d tasks at once, want 8", got)
		}
		close(hold)
		synctest.Wait()
		if n := len(e.done()); n != 20 {
			t.Errorf("%d tasks done while streams wait, want 20", n)
		}
		_ = stop()
	})
}

// A lost reply to anything is asked for again, and the effect is not repeated.
func TestLostReplies(t *testing.T) {
	for _, method := range []string{"tasks", "begin", "finish"} {
		bubble(t, func(t *testing.T) {
			d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStart}), newEngine()
			d.lose[method] = 3
			start(t, d, e, nil)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if got := d.task("t"); got.State != nic.TaskDone || got.Error != "" || len(e.done()) != 1 {
				t.Errorf("replies to %s lost: %+v, the engine did %q", method, got, e.done())
			}
		})
	}
}

// A task that an earlier agent has begun is begun again; one that this agent works
// on under a session of before is finished under the new one.
func TestASessionTakesOverFromTheLast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStart, State: nic.TaskRunning, Session: 1}), newEngine()
		d.session = 2
		_, stop := start(t, d, e, func(o *Options) { o.Controller = &wire{d, 2} })
		synctest.Wait()
		if got := d.task("t"); got.State != nic.TaskDone || got.Session != 2 {
			t.Errorf("after a crash: %+v", got)
		}
		hold := make(chan struct{})
		e.does["u"] = func(context.Context, nic.Task) error { <-hold; return nil }
		d.order(nic.Task{ID: "u", Kind: nic.TaskStart})
		_ = stop()

		w := &wire{d, 2}
		r, _ := start(t, d, e, func(o *Options) { o.Controller = w })
		synctest.Wait()
		d.mu.Lock()
		d.session, w.session = 3, 3 // the same agent has said hello once more
		d.mu.Unlock()
		close(hold)
		synctest.Wait()
		if got := d.task("u"); got.State != nic.TaskDone || got.Session != 3 || len(e.done()) != 2 {
			t.Errorf("finished under another session: %+v, the engine did %q", got, e.done())
		}
		r.Wake()
	})
}

// Without its owner's word a node carries nothing out, and says what to do.
func TestMovesMustBeAllowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStop}), newEngine()
		start(t, d, e, func(o *Options) { o.Moves = false })
		synctest.Wait()
		got := d.task("t")
		if got.State != nic.TaskFailed || !strings.Contains(got.Error, "set moves: true in agent.yaml of a") || got.Result.Again || len(e.done()) != 0 {
			t.Errorf("%+v, the engine did %q", got, e.done())
		}
	})
}

// F65: an agent that another has replaced stops at once, says nothing more, and
// begins nothing.
func TestF65_ASupersededAgentStops(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "m1", Kind: nic.TaskStop}, nic.Task{ID: "m2", Move: "mov-2", Kind: nic.TaskStop}), newEngine()
		var ended error
		e.does["m1"] = func(ctx context.Context, _ nic.Task) error {
			<-ctx.Done()
			ended = context.Cause(ctx)
			return ended
		}
		r, stop := start(t, d, e, nil)
		synctest.Wait()
		d.order(nic.Task{ID: "m3", Move: "mov-3", Kind: nic.TaskStop})
		d.mu.Lock()
		d.session = 2
		d.mu.Unlock()
		r.Wake()
		synctest.Wait()
		if !errors.Is(ended, errSuperseded) || d.task("m1").State != nic.TaskRunning || d.task("m3").State != nic.TaskPending {
			t.Errorf("ended with %v; %+v, %+v", ended, d.task("m1"), d.task("m3"))
		}
		if err := stop(); !errors.Is(err, errConflicting) {
			t.Errorf("Follow ended with %v", err)
		}
	})
}

// F65: an agent that was stopped between the controller's word and the deed asks
// again before it acts.
func TestF65_AWokenAgentAsksFirst(t *testing.T) {
	for _, kind := range []nic.TaskKind{nic.TaskCreate, nic.TaskTake} {
		bubble(t, func(t *testing.T) {
			d, e := newDesk(nic.Task{ID: "t", Kind: kind, What: nic.StreamVolume, Stream: "s"}), newEngine()
			start(t, d, e, nil)
			synctest.Wait() // it waits for its stream
			time.Sleep(2 * time.Second)
			d.mu.Lock()
			d.session = 2
			d.mu.Unlock()
			p := d.streams["s"]
			if _, err := p.w.Write([]byte("{}")); err == nil {
				p.w.Close()
			}
			synctest.Wait()
			if got := e.done(); len(got) != 0 || d.task("t").State != nic.TaskRunning {
				t.Errorf("%s: the engine did %q for an agent that was replaced; %+v", kind, got, d.task("t"))
			}
		})
	}
}

// What has no end fails alone: a panic, and a task that is late. What the engine
// says may pass is said to.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name  string
		do    func(ctx context.Context, task nic.Task) error
		why   string
		again bool
		gone  bool
	}{
		{"panic", func(context.Context, nic.Task) error { panic("of the test") }, "has a fault, see its log", false, false},
		{"late", func(ctx context.Context, _ nic.Task) error { <-ctx.Done(); return ctx.Err() }, "not done in time, which is 1h0m0s", true, false},
		{"passing", func(context.Context, nic.Task) error { return fmt.Errorf("busy: %w", containers.ErrAgain) }, "busy", true, false},
		{"no engine", func(context.Context, nic.Task) error { return containers.ErrNoEngine }, "no Docker engine", true, false},
		{"gone", func(context.Context, nic.Task) error { return containers.ErrNotFound }, "no such container", false, true},
		{"long", func(context.Context, nic.Task) error { return errors.New(strings.Repeat("é\xff", maxWhy)) }, "é?", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStop}, nic.Task{ID: "u", Move: "mov-2", Kind: nic.TaskStop}), newEngine()
				e.does["t"] = test.do
				start(t, d, e, nil)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				got := d.task("t")
				if got.State != nic.TaskFailed || !strings.Contains(got.Error, test.why) || got.Result.Again != test.again || got.Result.Gone != test.gone || len(got.Error) > maxWhy {
					t.Errorf("got %s %.200q %+v", got.State, got.Error, got.Result)
				}
				if d.task("u").State != nic.TaskDone {
					t.Errorf("another move's: %+v", d.task("u"))
				}
			})
		})
	}
}

// What the controller lists no more is not begun, and broken off if it was.
func TestWhatIsNotListedEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "t", Seq: 1, Kind: nic.TaskStop}, nic.Task{ID: "u", Seq: 2, Kind: nic.TaskStop}), newEngine()
		var cause error
		e.does["t"] = func(ctx context.Context, _ nic.Task) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}
		start(t, d, e, nil)
		synctest.Wait()
		d.mu.Lock()
		d.tasks["u"].State = nic.TaskCancelled
		delete(d.tasks, "t")
		d.mu.Unlock()
		time.Sleep(askAgain + time.Second) // nobody wakes it
		synctest.Wait()
		if !errors.Is(cause, errOver) || len(e.done()) != 0 || d.begun["u"] != 0 {
			t.Errorf("broken off by %v; the engine did %q; the cancelled one was begun %d times", cause, e.done(), d.begun["u"])
		}
	})
}

// Whatever a task does, the controller hears that it is at work.
func TestSignsOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStop}), newEngine()
		e.does["t"] = func(ctx context.Context, _ nic.Task) error {
			time.Sleep(10 * time.Second)
			return nil
		}
		start(t, d, e, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.lives != 3 || d.task("t").State != nic.TaskDone {
			t.Errorf("%d signs of life in ten seconds: %+v", d.lives, d.task("t"))
		}
	})
}

// A result that the controller does not take is an error, and no silence.
func TestARefusedResultIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "t", Kind: nic.TaskStop}), newEngine()
		d.refuse = true
		start(t, d, e, nil)
		synctest.Wait()
		if got := d.task("t"); got.State != nic.TaskFailed || !strings.Contains(got.Error, "does not take the result") {
			t.Errorf("%+v", got)
		}
	})
}

// between starts the agents of the nodes that a stream goes from and to.
func between(t *testing.T, d *desk, from, to *engine) {
	t.Helper()
	start(t, d, from, nil)
	start(t, d, to, func(o *Options) { o.Node = "b" })
}

// A stream goes from engine to engine; both ends say the same of it.
func TestStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, from, to := newDesk(), newEngine(), newEngine()
		what := strings.Repeat("volume", 100_000)
		from.data, from.size = strings.NewReader(what), int64(len(what))
		d.order(nic.Task{ID: "send", Kind: nic.TaskSend, What: nic.StreamVolume, Stream: "s"})
		d.order(nic.Task{ID: "take", Node: "b", Kind: nic.TaskTake, What: nic.StreamVolume, Stream: "s"})
		between(t, d, from, to)
		synctest.Wait()
		sent, taken := d.task("send"), d.task("take")
		if sent.State != nic.TaskDone || taken.State != nic.TaskDone || string(to.got) != what {
			t.Fatalf("%+v\n%+v\n%d bytes got", sent, taken, len(to.got))
		}
		if *sent.Result.Copied != *taken.Result.Copied || sent.Result.Copied.Bytes != int64(len(what)) || len(sent.Result.Copied.SHA256) != 64 {
			t.Errorf("sent %+v, taken %+v", sent.Result.Copied, taken.Result.Copied)
		}
	})
}

// A configuration makes a container, and of it nothing is said but its length.
func TestCreate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, from, to := newDesk(), newEngine(), newEngine()
		from.data = strings.NewReader(`{"Env":["PASSWORD=hunter2"]}`)
		d.order(nic.Task{ID: "send", Kind: nic.TaskSend, What: nic.StreamConfig, Stream: "s"})
		d.order(nic.Task{ID: "create", Node: "b", Kind: nic.TaskCreate, Name: "web", Stream: "s"})
		between(t, d, from, to)
		synctest.Wait()
		sent, made := d.task("send"), d.task("create")
		if made.State != nic.TaskDone || made.Result.Made != "c0ffee" || string(to.got) != `{"Env":["PASSWORD=hunter2"]}` {
			t.Errorf("%+v got %q", made, to.got)
		}
		if sent.State != nic.TaskDone || sent.Result.Copied.Bytes != 28 || sent.Result.Copied.SHA256 != "" {
			t.Errorf("sent %+v", sent.Result.Copied)
		}
	})
}

// broken ends with an error after some bytes.
type broken struct{ left int }

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("disk on fire")
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

// A stream that breaks fails at both ends. Who is to blame says why, and the other
// end that it may be tried again; half of a configuration makes no container.
func TestBrokenStreams(t *testing.T) {
	for _, test := range []struct {
		name             string
		kind             nic.TaskKind
		what             nic.StreamWhat
		data             io.Reader
		take             error
		sendWhy, takeWhy string
		sendAgain        bool
		takeAgain        bool
	}{
		{"source", nic.TaskTake, nic.StreamVolume, &broken{100_000}, nil, "disk on fire", "stream through the controller", false, true},
		{"source of a configuration", nic.TaskCreate, nic.StreamConfig, &broken{100}, nil, "disk on fire", "stream through the controller", false, true},
		{"sink", nic.TaskTake, nic.StreamVolume, strings.NewReader(strings.Repeat("x", 1<<20)), errors.New("disk full"), "", "disk full", false, false},
		{"configuration too long", nic.TaskCreate, nic.StreamConfig, strings.NewReader(strings.Repeat("x", maxConfig+2)), nil, "stream through the controller", "more than 4194304 bytes", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d, from, to := newDesk(), newEngine(), newEngine()
				from.data = test.data
				to.does["take"] = func(context.Context, nic.Task) error { return test.take }
				d.order(nic.Task{ID: "send", Kind: nic.TaskSend, What: test.what, Stream: "s"})
				d.order(nic.Task{ID: "take", Node: "b", Kind: test.kind, What: test.what, Stream: "s"})
				between(t, d, from, to)
				synctest.Wait()
				sent, taken := d.task("send"), d.task("take")
				if (sent.Error == "") != (test.sendWhy == "") || !strings.Contains(sent.Error, test.sendWhy) || sent.Result.Again != test.sendAgain {
					t.Errorf("sender: %q, %+v", sent.Error, sent.Result)
				}
				if taken.State != nic.TaskFailed || !strings.Contains(taken.Error, test.takeWhy) || taken.Result.Again != test.takeAgain {
					t.Errorf("taker: %q, %+v", taken.Error, taken.Result)
				}
				if len(to.done()) != 0 {
					t.Errorf("the engine did %q with half of it", to.done())
				}
			})
		})
	}
}

// stuck has nothing to say until it is closed.
type stuck struct{ closed chan struct{} }

func (s *stuck) Read([]byte) (int, error) {
	<-s.closed
	return 0, errors.New("read of what is closed")
}

func (s *stuck) Close() error {
	close(s.closed)
	return nil
}

// cutting is a controller that breaks each stream, as the real client does it.
type cutting struct{ *wire }

func (cutting) SendStream(_ context.Context, _, _ string, body io.Reader) (nic.Copied, error) {
	body.(io.Closer).Close()
	_, _ = io.ReadAll(body)
	return nic.Copied{}, errors.New("cut")
}

// A stream that breaks while its source is silent is the stream's fault, which may
// pass.
func TestACutStreamIsNotTheSourcesFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, e := newDesk(nic.Task{ID: "send", Kind: nic.TaskSend, What: nic.StreamImage, Stream: "s"}), newEngine()
		e.data = &stuck{make(chan struct{})}
		r := &counted{from: e.data, told: func(int64) {}}
		_, err := cutting{}.SendStream(t.Context(), "", "", r)
		if err == nil || r.broken() != nil {
			t.Errorf("cut with %v, the source is said to be broken by %v", err, r.broken())
		}
		e.data = &stuck{make(chan struct{})}
		start(t, d, e, func(o *Options) { o.Controller = cutting{o.Controller.(*wire)} })
		synctest.Wait()
		if got := d.task("send"); got.State != nic.TaskFailed || !got.Result.Again || !strings.Contains(got.Error, "cut") {
			t.Errorf("%s %q %+v", got.State, got.Error, got.Result)
		}
	})
}

// slow has a byte for each 10 ms.
type slow struct{ left int }

func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(10 * time.Millisecond)
	s.left--
	return 1, nil
}

// Progress is told twice a second at most, and not when nothing is new.
func TestProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, from, to := newDesk(), newEngine(), newEngine()
		from.data, from.size = &slow{1000}, 1000
		d.order(nic.Task{ID: "send", Kind: nic.TaskSend, What: nic.StreamVolume, Stream: "s"})
		between(t, d, from, to)
		d.order(nic.Task{ID: "take", Node: "b", Kind: nic.TaskTake, What: nic.StreamVolume, Stream: "s"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(d.progress); n < 10 || n > 41 {
			t.Errorf("told %d times in ten seconds at two ends", n)
		}
		if got := d.task("send"); got.State != nic.TaskDone || got.Total != 1000 || got.Bytes < 900 {
			t.Errorf("%+v", got)
		}
	})
}
