package server_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/nic"
)

// The whole life of a move through the client: planned, begun, waited for, turned
// round.
func TestAMoveThroughTheClient(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c, ctx := ctl.client(), t.Context()
	request := nic.MoveRequest{Container: "web", To: "n2", Options: nic.MoveOptions{Volumes: nic.CopyCopy, Wait: nic.Duration(time.Minute)}}
	plan, err := c.PlanMove(ctx, request)
	if err != nil || plan.Request.From != "n1" || plan.Request.Options.Volumes != nic.CopyCopy || len(plan.Steps) != 3 || !plan.Steps[2].Pivot {
		t.Fatalf("plan: %+v, %v", plan, err)
	}
	begun, err := c.BeginMove(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.BeginMove(ctx, request); err != nil || again.ID != begun.ID {
		t.Errorf("the same again is %s, %v; want %s", again.ID, err, begun.ID)
	}
	now, err := c.Move(ctx, begun.ID)
	if err != nil || now.Revision == 0 || now.Options.Wait != request.Options.Wait {
		t.Fatalf("move: %+v, %v", now, err)
	}
	ctl.mover.Play(func(m *nic.Move) { m.Steps[0].State = nic.StepDone })
	next, err := c.AwaitMove(ctx, begun.ID, now.Revision)
	if err != nil || next.Revision == now.Revision || next.Steps[0].State != nic.StepDone {
		t.Errorf("after a wait: %+v, %v", next, err)
	}
	if moves, err := c.Moves(ctx); err != nil || len(moves) != 1 {
		t.Errorf("moves: %+v, %v", moves, err)
	}
	if m, err := c.AbortMove(ctx, begun.ID); err != nil || m.Phase != nic.MoveBack {
		t.Errorf("abort: %+v, %v", m, err)
	}
	begun.Phase, begun.Remedy = nic.MoveParked, "x"
	ctl.mover.Put(begun)
	if m, err := c.ResumeMove(ctx, begun.ID); err != nil || m.Phase != nic.MoveForward {
		t.Errorf("resume: %+v, %v", m, err)
	}
	begun.Phase = nic.MoveDone
	ctl.mover.Put(begun)
	if _, err := c.AbortMove(ctx, begun.ID); !api.IsRefused(err) {
		t.Errorf("abort of what is done: %v", err)
	}
	for _, none := range []nic.MoveID{nic.NewMoveID(), "web"} {
		if _, err := c.AwaitMove(ctx, none, 1); !api.IsNotFound(err) {
			t.Errorf("wait for %s: %v", none, err)
		}
	}
}

// All reasons against a move come at once, each by itself.
func TestARefusedMoveSaysAllReasons(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	ctl.mover.Refuse(
		nic.MoveRefusal{About: "slots", Why: "n2: 0 of 4 free"},
		nic.MoveRefusal{About: "binds", Why: "/srv is the host's", Remedy: "make it a volume"},
	)
	_, err := ctl.client().BeginMove(t.Context(), nic.MoveRequest{Container: "web", To: "n2"})
	e, ok := err.(*api.Error)
	if !ok || e.Code != api.CodeRefused || len(e.Refusals) != 2 || e.Refusals[1].Remedy != "make it a volume" ||
		!strings.Contains(e.Message, "slots: n2: 0 of 4 free; binds: /srv is the host's; make it a volume") {
		t.Errorf("got %#v", err)
	}
	if moves, err := ctl.client().Moves(t.Context()); err != nil || len(moves) != 0 {
		t.Errorf("it has begun: %+v, %v", moves, err)
	}
}

// What no container, node or option can be is refused before anybody is asked.
func TestBadMovesAreInvalid(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	for body, fields := range map[string][]string{
		`{"container":"","to":""}`:                                   {"body.container", "body.to"},
		`{"container":"a/b","to":"n2"}`:                              {"body.container"},
		`{"container":"-rf","to":"n2"}`:                              {"body.container"},
		`{"container":"a\u001b[2J","to":"n2","from":"../x"}`:         {"body.container", "body.from"},
		`{"container":"` + strings.Repeat("a", 256) + `","to":"n2"}`: {"body.container"},
		`{"container":"a","to":"n2","kind":"soul"}`:                  {"body.kind"},
		`{"container":"a","to":"n2","target":"b"}`:                   {"body.target"},
		`{"container":"a","to":"n2","kind":"nic"}`:                   {"body.target"},
		`{"container":"a","to":"n2","options":{"volumes":"x","layer":"y","wait":"-1s","grace":"25h"}}`: {
			"body.options.volumes", "body.options.layer", "body.options.wait", "body.options.grace",
		},
	} {
		for _, path := range []string{"/v1/moves", "/v1/moves/plan"} {
			e := readError(t, "bad", ctl.send("POST", path, body))
			var got []string
			for _, f := range e.Faults {
				got = append(got, f.Field)
			}
			if e.Code != api.CodeInvalid || strings.Join(got, " ") != strings.Join(fields, " ") {
				t.Errorf("%s %.100s: %s %q, want %q", path, body, e.Code, got, fields)
			}
		}
	}
	if moves, err := ctl.client().Moves(t.Context()); err != nil || len(moves) != 0 {
		t.Errorf("moves: %+v, %v", moves, err)
	}
}

// A node that is emptied is shown so, alone and in the list, until somebody takes
// that back.
func TestADrainThroughTheClient(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c, ctx := ctl.client(), t.Context()
	ctl.backend.PutNode(nic.Node{Name: "n1", Phase: nic.NodeReady})
	d, err := c.DrainNode(ctx, "n1", nic.DrainRequest{To: []string{"n2"}, MaxParallel: 3, KeepGoing: true})
	if err != nil || d.Phase != nic.DrainMoving || d.Request.MaxParallel != 3 {
		t.Fatalf("drain: %+v, %v", d, err)
	}
	nodes, err := c.Nodes(ctx)
	one, oneErr := c.Node(ctx, "n1")
	if err != nil || oneErr != nil || len(nodes) != 1 || nodes[0].Drain != nic.DrainMoving || one.Drain != nic.DrainMoving {
		t.Errorf("nodes: %+v, %+v, %v, %v", nodes, one, err, oneErr)
	}
	if drains, err := c.Drains(ctx); err != nil || len(drains) != 1 {
		t.Errorf("drains: %+v, %v", drains, err)
	}
	for body, field := range map[string]string{
		`{"to":["n1"]}`: "body.to", `{"to":["../x"]}`: "body.to", `{"maxParallel":-1}`: "body.maxParallel", `{"maxParallel":99}`: "body.maxParallel",
		`{"options":{"layer":"x"}}`: "body.options.layer",
	} {
		if e := readError(t, "bad", ctl.send("POST", "/v1/nodes/n1/drain", body)); e.Code != api.CodeInvalid || e.Field != field {
			t.Errorf("%s: %+v", body, e)
		}
	}
	if _, err := c.UndrainNode(ctx, "n1"); err != nil {
		t.Error(err)
	}
	if _, err := c.UndrainNode(ctx, "n1"); !api.IsNotFound(err) {
		t.Errorf("undrain again: %v", err)
	}
}

// A controller without a mover refuses, and has no moves.
func TestWithoutAMoverNothingMoves(t *testing.T) {
	t.Parallel()
	ctl := start(t, func(o *server.Options) { o.Mover = nil })
	c := ctl.client()
	if _, err := c.BeginMove(t.Context(), nic.MoveRequest{Container: "web", To: "n2"}); !api.IsRefused(err) {
		t.Errorf("begin: %v", err)
	}
	if moves, err := c.Moves(t.Context()); err != nil || len(moves) != 0 {
		t.Errorf("moves: %+v, %v", moves, err)
	}
}

// People who wait for moves take no place from others: each call that waits here
// would hold one, and there are 16.
func TestWhoWaitsForAMoveHoldsUpNobody(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c := ctl.client()
	m, err := c.BeginMove(t.Context(), nic.MoveRequest{Container: "web", To: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := c.Move(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	const waiting = 40
	done := make(chan error, waiting)
	for range waiting {
		go func() { _, err := c.AwaitMove(t.Context(), m.ID, seen.Revision); done <- err }()
	}
	ctl.mover.AwaitWaiting(t.Context(), waiting)
	if resp := ctl.send("GET", "/v1/nodes", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	m.Phase = nic.MoveDone
	ctl.mover.Put(m)
	for range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A move is followed through a restart of the controller, which is told once.
func TestAMoveIsFollowedThroughARestart(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	c, err := client.Open(client.Options{Addresses: []string{"unix://" + ctl.socket}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	m, err := c.BeginMove(t.Context(), nic.MoveRequest{Container: "web", To: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	broke, seen, ended := make(chan error, 100), make(chan nic.MovePhase, 100), make(chan error, 1)
	var again atomic.Int32
	go func() {
		ended <- c.FollowMove(t.Context(), m.ID, client.MoveReader{
			Changed: func(v api.MoveView) bool { seen <- v.Phase; return !v.Phase.Over() },
			Broke:   func(err error) { broke <- err },
			Again:   func() { again.Add(1) },
		})
	}()
	if phase := <-seen; phase != nic.MoveForward {
		t.Errorf("at first it is %s", phase)
	}
	ctl.Stop()
	if err := <-broke; !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("it broke with %v", err)
	}
	m.Phase = nic.MoveDone
	ctl.mover.Put(m)
	ctl.Start()
	if phase := <-seen; phase != nic.MoveDone {
		t.Errorf("at the end it is %s", phase)
	}
	if err := <-ended; err != nil || again.Load() != 1 || len(broke) > 0 {
		t.Errorf("it ended with %v, and was connected again %d times", err, again.Load())
	}
	if err := c.FollowMove(t.Context(), nic.NewMoveID(), client.MoveReader{Changed: func(api.MoveView) bool { return true }}); !api.IsNotFound(err) {
		t.Errorf("one that is not there: %v", err)
	}
}

// Parked moves are among what keeps the controller from its work, with their
// remedy.
func TestStatusNamesParkedMoves(t *testing.T) {
	t.Parallel()
	ctl := start(t)
	parked := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	ctl.mover.Put(nic.Move{
		ID: "mov-00000000000000d1", Container: "web", From: "n1", To: "n2", Phase: nic.MoveParked, Why: "n2 says nothing", Remedy: "do this",
		Created: parked.Add(-time.Hour), Steps: []nic.MoveStep{{Name: "stop", Began: parked}},
	})
	ctl.mover.Put(nic.Move{ID: "mov-00000000000000d2", Phase: nic.MoveDone})
	status, err := ctl.client().Status(t.Context())
	if err != nil || len(status.Conditions) != 1 {
		t.Fatalf("status: %+v, %v", status, err)
	}
	want := nic.Condition{Reason: nic.ReasonMoveParked, Since: parked, Message: "web, from n1 to n2 (mov-00000000000000d1): n2 says nothing; to go on: do this"}
	if status.Conditions[0] != want {
		t.Errorf("got %+v, want %+v", status.Conditions[0], want)
	}
}
