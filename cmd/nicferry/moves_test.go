package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

type moverKey struct{}

func moverOf(ts *testscript.TestScript) *apitest.Mover { return ts.Value(moverKey{}).(*apitest.Mover) }

// refuse has two reasons stand against all moves.
func refuse(ts *testscript.TestScript, _ bool, _ []string) {
	moverOf(ts).Refuse(
		nic.MoveRefusal{About: "slots", Why: "n2: 0 of 4 free"},
		nic.MoveRefusal{About: "binds", Why: "/srv/a\x1b[2Jb is the host's", Remedy: "make it a volume"},
	)
}

// play says what becomes of the next move: done, undone, parked or stuck.
func play(ts *testscript.TestScript, _ bool, args []string) {
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	after := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	stopping := []func(*nic.Move){
		func(m *nic.Move) {
			m.Created = begin
			m.Steps[0] = nic.MoveStep{Name: "image", State: nic.StepDoing, Began: begin, Tries: 1, Bytes: 1 << 20, Total: 4 << 20}
		},
		func(m *nic.Move) {
			m.Steps[0].State, m.Steps[0].Ended, m.Steps[0].Bytes = nic.StepDone, after(2000), 4<<20
			m.Steps[1] = nic.MoveStep{Name: "stop", State: nic.StepDoing, Began: after(2000), Tries: 1}
			m.SilentFrom = after(2000)
		},
	}
	ends := map[string][]func(*nic.Move){
		"stuck": nil,
		"done": {
			func(m *nic.Move) {
				m.Steps[1].State, m.Steps[1].Ended, m.SilentTo = nic.StepDone, after(4512), after(4512)
				m.Steps[2].State, m.Steps[2].Began, m.Steps[2].Ended = nic.StepDone, after(4512), after(4520)
				m.Phase = nic.MoveFinishing
			},
			func(m *nic.Move) { m.Phase, m.Ended = nic.MoveDone, after(5000) },
		},
		"undone": {
			func(m *nic.Move) {
				m.Phase, m.Why = nic.MoveBack, "stop: the engine says no\x1b[31m"
				m.Steps[1].State, m.Steps[1].Error = nic.StepUndoing, "the engine says no\x1b[31m"
			},
			func(m *nic.Move) {
				m.Steps[1].State, m.Steps[0].State = nic.StepUndone, nic.StepUndone
				m.Phase, m.Ended = nic.MoveUndone, after(9000)
			},
		},
		"parked": {func(m *nic.Move) {
			m.Phase, m.Why, m.Remedy = nic.MoveParked, "n2 says nothing", "nicferry migrate --abort "+string(m.ID)+", once n2 is off"
		}},
	}
	end, ok := ends[args[0]]
	if !ok {
		ts.Fatalf("no such end: %q", args)
	}
	moverOf(ts).Play(append(stopping, end...)...)
}

// moved gives the mover a move that is done, one that is parked, and a drain.
func moved(ts *testscript.TestScript, _ bool, _ []string) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second).UTC().Truncate(time.Second) }
	mover := moverOf(ts)
	begin := ago(4 * time.Hour)
	mover.Put(nic.Move{
		Schema: 1, ID: "mov-00000000000000d1", Kind: nic.MoveContainer, Container: "web", Target: "web", From: "n1", To: "n2",
		Claims: []nic.ClaimID{"clm-00000000000000c1"}, Sandbox: "c0ffee", TargetSandbox: "beef", Phase: nic.MoveDone,
		Options: nic.MoveOptions{Volumes: nic.CopyCopy, Layer: nic.CopyRefuse, Wait: nic.Duration(time.Minute)},
		Created: begin, Ended: begin.Add(8 * time.Second), SilentFrom: begin.Add(4 * time.Second), SilentTo: begin.Add(6500 * time.Millisecond),
		Steps: []nic.MoveStep{
			{Name: "volumes", State: nic.StepDone, Began: begin, Ended: begin.Add(4 * time.Second), Bytes: 8e6, Total: 8e6, Tries: 2},
			{Name: "stop", State: nic.StepDone, Began: begin.Add(4 * time.Second), Ended: begin.Add(8 * time.Second), Tries: 1},
			{Name: "pivot", State: nic.StepDone, Pivot: true, Began: begin.Add(8 * time.Second), Ended: begin.Add(8 * time.Second), Tries: 1},
		},
	})
	mover.Put(nic.Move{
		Schema: 1, ID: "mov-00000000000000d2", Kind: nic.MoveNIC, Container: "db", Target: "db2", From: "n1", To: "n3", Drain: true,
		Claims: []nic.ClaimID{"clm-00000000000000c7"}, Phase: nic.MoveParked, Why: "n3 says nothing\nat all", Remedy: "nicferry migrate --abort mov-00000000000000d2",
		Created: ago(3 * time.Hour),
		Steps: []nic.MoveStep{
			{Name: "nic-out", State: nic.StepDoing, Began: ago(3 * time.Hour), Tries: 1, Error: "n3 does not answer"},
			{Name: "pivot", Pivot: true},
		},
	})
	mover.PutDrain(nic.Drain{Node: "n1", Phase: nic.DrainStopped, Why: "db could not be moved", Containers: []nic.DrainedContainer{
		{Container: "db", To: "n3", Move: "mov-00000000000000d2", State: nic.MoveParked, Why: "n3 says nothing"},
		{Container: "priv", To: "n2", Refusals: []nic.MoveRefusal{{About: "privileged", Why: "priv is privileged"}}},
		{Container: "web", To: "n2", Move: "mov-00000000000000d1", State: nic.MoveDone},
		{Container: "later"},
	}})
}

// What containers, engines and nodes say is shown and not obeyed, in plans, on the
// way and at the end; and no line on a terminal is long enough to be wrapped.
func TestHostileTextInMoves(t *testing.T) {
	t.Parallel()
	m := nic.Move{
		ID: nic.MoveID(hostile), Container: hostile, Target: hostile + "x", From: hostile, To: hostile, Why: hostile, Remedy: hostile, Phase: nic.MoveParked,
		Claims: []nic.ClaimID{hostile}, Steps: []nic.MoveStep{{Name: hostile, State: nic.StepDoing, Began: time.Now(), Error: strings.Repeat(hostile, 30), Tries: 2}},
	}
	plan := nic.MovePlan{
		Request: nic.MoveRequest{Container: hostile, From: hostile, To: hostile, Kind: nic.MoveNIC, Target: hostile}, Travel: hostile, Risks: []string{hostile},
		NICs:   []nic.PlannedNIC{{Interface: hostile, Network: hostile}},
		Copies: []nic.PlannedCopy{{What: hostile, Ref: hostile}}, Steps: []nic.PlannedStep{{Name: hostile, About: hostile}},
		Refusals: []nic.MoveRefusal{{About: hostile, Why: hostile, Remedy: hostile}},
	}
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.live = true
	c := &migrateCommand{app: a, format: "text"}
	p := newMoveProgress(a)
	p.show(m)
	back := m
	back.Phase, back.Steps = nic.MoveBack, []nic.MoveStep{{Name: hostile, State: nic.StepUndoing, Error: hostile}}
	p.show(back)
	p.note("%s", hostile)
	p.clear()
	c.tellPlan(plan)
	s := &sheet{now: time.Now()}
	newMove(m).describe(s)
	drain := nic.Drain{Node: hostile, Containers: []nic.DrainedContainer{{Container: hostile, To: hostile, Why: hostile, State: hostile}}}
	table := &drainTable{out: &errs, live: true}
	table.show(drain, []nic.Move{m})
	table.clear()
	for _, err := range []error{
		c.printPlan(plan), c.printMove(m, movedText(m)), s.flush(&out), (&drainCommand{app: a, format: "text"}).print(drain, []nic.Move{m}),
		(&printer{out: &out, format: "wide", now: time.Now()}).print(moveKind(), []thing{newMove(m)}, false),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for _, err := range []error{c.verdict(m), stands(plan), &goesOn{id: m.ID}} {
		for line := range cleanLines(err.Error()) {
			fmt.Fprintln(&errs, line)
		}
	}
	own := strings.NewReplacer("\r\x1b[K", "", "\x1b[J", "", "\x1b[2A", "") // what we say to the terminal ourselves
	for _, text := range []string{out.String(), own.Replace(errs.String())} {
		if strings.ContainsAny(text, "\x1b\x07\r\t\x7f\u009b\u202e\U000E0001") || !strings.Contains(text, "\u00e9") {
			t.Errorf("%q", text)
		}
	}
	for part := range strings.SplitSeq(errs.String(), "\r\x1b[K") {
		if line := part[strings.LastIndex(part, "\n")+1:]; len([]rune(line)) > lineWidth {
			t.Errorf("%d characters: %q", len([]rune(line)), line)
		}
	}
}

// On a terminal the step under way is written again and again, with how long it
// takes, what is copied, and since when the container answers nobody.
func TestLiveProgress(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	far := now.Add(-42 * time.Hour) // the controller's clock is its own
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.live, a.now = true, func() time.Time { return now }
	p := newMoveProgress(a)
	m := nic.Move{Container: "web", From: "n1", To: "n2", Phase: nic.MoveForward, Steps: []nic.MoveStep{
		{Name: "volumes", State: nic.StepDoing, Began: far, Tries: 1}, {Name: "pivot", Pivot: true},
	}}
	show := func(change func(*nic.Move)) {
		m.Steps = slices.Clone(m.Steps)
		change(&m)
		p.show(m)
	}
	show(func(m *nic.Move) { m.SilentFrom = far })
	now = now.Add(2 * time.Second)
	show(func(m *nic.Move) { m.Steps[0].Bytes, m.Steps[0].Total = 3<<20, 12<<20 })
	now = now.Add(time.Second)
	p.draw()
	show(func(m *nic.Move) { m.Steps[0].Tries, m.Steps[0].Error = 2, "broken pipe" })
	show(func(m *nic.Move) {
		m.Steps[0].State, m.Steps[0].Ended, m.Steps[0].Bytes = nic.StepDone, far.Add(4*time.Second), 12<<20
		m.Steps[1].State, m.Steps[1].Began, m.Steps[1].Ended = nic.StepDone, far, far.Add(10*time.Millisecond)
		m.Phase = nic.MoveFinishing
	})
	p.clear()
	const again = "\r\x1b[K"
	want := "  volumes          0.00s  silent 0.00s" +
		again + "  volumes          2.00s  3.0 MiB of 12.0 MiB, 1.5 MiB/s  silent 2.00s" +
		again + "  volumes          3.00s  3.0 MiB of 12.0 MiB, 1.0 MiB/s  silent 3.00s" +
		again + "  volumes        again: broken pipe\n" +
		"  volumes          3.00s  try 2  3.0 MiB of 12.0 MiB, 1.0 MiB/s  silent 3.00s" +
		again + "  volumes          4.00s  12.0 MiB, 3.0 MiB/s\n" +
		"  pivot            0.01s\n" +
		"  web is on n2, and stays there\n"
	if got := errs.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{-1: "0 bytes", 0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 4 << 20: "4.0 MiB", 123 << 20: "123.0 MiB", 7 << 40: "7.0 TiB", 7 << 50: "7168.0 TiB"} {
		if got := amount(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// A moveRig is a controller whose mover does what a test says, and a command line.
type moveRig struct {
	mover     *apitest.Mover
	out, errs bytes.Buffer
	address   string
}

func newMoveRig(t *testing.T) *moveRig {
	t.Helper()
	r := &moveRig{mover: apitest.NewMover()}
	r.address = serveAt(t, server.Options{Backend: apitest.New(), Mover: r.mover})
	return r
}

// run runs a command line; its exit code comes when it ends.
func (r *moveRig) run(ctx context.Context, args ...string) <-chan int {
	code := make(chan int, 1)
	go func() { code <- newApp(&r.out, &r.errs).run(ctx, append([]string{"--controller", r.address}, args...)) }()
	return code
}

// Ctrl-C ends the command and not the move, and says how to watch or undo it.
func TestInterruptLeavesTheMove(t *testing.T) {
	t.Parallel()
	r := newMoveRig(t)
	ctx, interrupt := context.WithCancel(t.Context())
	code := r.run(ctx, "migrate", "web", "--to", "n2")
	r.mover.AwaitWaiting(t.Context(), 1)
	interrupt()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
	moves, err := r.mover.Moves(t.Context())
	if err != nil || len(moves) != 1 || moves[0].Phase != nic.MoveForward {
		t.Fatalf("moves: %+v, %v", moves, err)
	}
	want := fmt.Sprintf("nicferry: interrupted: the move goes on without this command\nnicferry: to watch it: nicferry migrate --watch %[1]s\nnicferry: to undo it: nicferry migrate --abort %[1]s\n", moves[0].ID)
	if got := r.errs.String(); !strings.HasSuffix(got, want) || r.out.Len() > 0 {
		t.Errorf("it says %q and prints %q", got, &r.out)
	}
}

// What was parked when it was asked to go on or back is no news: the command waits
// for what comes of it.
func TestParkedIsFollowedOnceItIsAsked(t *testing.T) {
	t.Parallel()
	r := newMoveRig(t)
	parked := nic.Move{
		Schema: 1, ID: nic.NewMoveID(), Kind: nic.MoveContainer, Container: "web", Target: "web", From: "n1", To: "n2", Phase: nic.MoveParked, Why: "n2 says nothing",
		Steps: []nic.MoveStep{{Name: "stop"}},
	}
	r.mover.Put(parked)
	r.mover.Lazy() // stores what is asked, and lets the test do it
	code := r.run(t.Context(), "migrate", "--abort", string(parked.ID))
	r.mover.AwaitWaiting(t.Context(), 1)
	undone := parked
	undone.Phase, undone.Why = nic.MoveUndone, "aborted"
	r.mover.Put(undone)
	if got := <-code; got != exitOK || r.out.String() != "web is on n1 as it was: aborted\n" {
		t.Errorf("exit code %d, %q, %q", got, &r.out, &r.errs)
	}
}
