package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/apitest"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/nic"
)

// A stage is a controller with a log of events, which a test ends and begins anew.
type stage struct {
	t      *testing.T
	socket string
	end    func()
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "nicferry") // shorter than the test's, as sockets must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &stage{t: t, socket: filepath.Join(dir, "s")}
}

// begin serves a log until end.
func (s *stage) begin(happened *events.Log) {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	ln, err := server.Listen(s.socket, "", log)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	handler := server.New(server.Options{Backend: apitest.New(), Log: log, Events: happened})
	go func() { done <- server.Run(ctx, ln, handler, log) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("server: %v", err)
		}
	})
	s.t.Cleanup(func() { s.end() })
}

// run is one run of the program, whose now is noon.
func (s *stage) run(ctx context.Context, out, errs io.Writer, args ...string) int {
	a := &app{out: out, err: errs, getenv: func(string) string { return "" }, now: func() time.Time { return noon }}
	return a.run(ctx, append(args, "--controller", "unix://"+s.socket))
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestEventsAreListed(t *testing.T) {
	t.Parallel()
	now := noon.Add(-time.Hour)
	happened := events.New(events.Options{Now: func() time.Time { return now }})
	happened.Add(api.Event{Reason: "ControllerStarted", Message: "nicferryd v1 has started"})
	happened.Add(api.Event{Reason: "ClaimAsked", Claim: "clm-1", Container: "web", Node: "n1", Message: "asks for eth0 on network lab"})
	happened.Add(api.Event{Reason: "NICPlanned", Claim: "clm-1", NIC: "nic-1", Node: "n1", Message: "it is on record"})
	happened.Add(api.Event{Type: api.EventWarning, Reason: "CallRefused", Node: "n2", Message: "no\nway"})
	now = noon.Add(-59 * time.Minute)
	happened.Add(api.Event{Type: api.EventWarning, Reason: "CallRefused", Node: "n2", Message: "no\nway"})
	now = noon.Add(-time.Minute)
	happened.Add(api.Event{Type: "\x1b[31m", Reason: hostile, Container: hostile, Node: hostile, Message: hostile})
	s := newStage(t)
	s.begin(happened)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"all": {nil, `TIME                   TYPE         REASON              ABOUT       MESSAGE
2026-01-02T11:00:00Z   normal       ControllerStarted   -           nicferryd v1 has started
2026-01-02T11:00:00Z   normal       ClaimAsked          web on n1   asks for eth0 on network lab
2026-01-02T11:00:00Z   normal       NICPlanned          clm-1 on n1   it is on record
2026-01-02T11:01:00Z   warning      CallRefused         node n2     no; way (2 times since 2026-01-02T11:00:00Z)
`},
		"of a container": {[]string{"--claim", "web"}, `TIME                   TYPE     REASON       ABOUT         MESSAGE
2026-01-02T11:00:00Z   normal   ClaimAsked   web on n1     asks for eth0 on network lab
2026-01-02T11:00:00Z   normal   NICPlanned   clm-1 on n1   it is on record
`},
		"of a node that may need help": {[]string{"--node", "n2", "--warnings"}, `TIME                   TYPE      REASON        ABOUT     MESSAGE
2026-01-02T11:01:00Z   warning   CallRefused   node n2   no; way (2 times since 2026-01-02T11:00:00Z)
`},
		"none": {[]string{"--claim", "db"}, ""},
		"late": {[]string{"--since", "10m"}, ""},
	} {
		var out, errs bytes.Buffer
		if code := s.run(t.Context(), &out, &errs, append([]string{"events"}, tc.args...)...); code != exitOK {
			t.Errorf("%s: exit code %d, %s", name, code, &errs)
		}
		got := out.String()
		if strings.ContainsAny(got, "\x1b\x07\r\t\x7f\u202e") {
			t.Errorf("%s: speaks to the terminal: %q", name, got)
		}
		switch name {
		case "all": // the hostile one makes its columns wide
			want := strings.Fields(tc.want)
			if fields := strings.Fields(got); len(fields) < len(want) || strings.Join(fields[:len(want)], " ") != strings.Join(want, " ") || strings.Count(got, "\n") != 6 {
				t.Errorf("%s:\n%s", name, got)
			}
		case "late":
			if strings.Count(got, "\n") != 2 || !strings.Contains(got, "2026-01-02T11:59:00Z") {
				t.Errorf("%s:\n%s", name, got)
			}
		default:
			if got != tc.want {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got, tc.want)
			}
		}
	}
	var out, errs bytes.Buffer
	var list api.Events
	if code := s.run(t.Context(), &out, &errs, "events", "-o", "json"); code != exitOK || json.Unmarshal(out.Bytes(), &list) != nil || len(list.Items) != 5 {
		t.Errorf("exit code %d, %s, %s", code, &out, &errs)
	}
	if list.Items[4].Container != strings.ToValidUTF8(hostile, "\uFFFD") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("container %q in %q", list.Items[4].Container, &out)
	}
	for _, bad := range [][]string{{"-o", "yaml"}, {"--since", "-1m"}, {"web"}} {
		if code := s.run(t.Context(), &out, &errs, append([]string{"events"}, bad...)...); code != exitUsage {
			t.Errorf("%v: exit code %d", bad, code)
		}
	}
}

// lines are what a program has written, as it writes it.
type lines struct{ c chan string }

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.c <- strings.TrimSuffix(line, "\n")
	}
	return len(p), nil
}

// Events are followed through the end of a controller and the start of another:
// each is told once, and that some may be lost is told too. Ctrl-C is a good end.
func TestEventsAreFollowed(t *testing.T) {
	t.Parallel()
	s, first := newStage(t), events.New(events.Options{})
	first.Add(api.Event{Reason: "One", Message: "of before"})
	s.begin(first)
	out, errs := lines{make(chan string, 64)}, lines{make(chan string, 64)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- s.run(ctx, out, errs, "events", "-f", "-o", "json") }()
	next := func(reason nic.Reason, seq uint64) {
		t.Helper()
		var e api.Event
		select {
		case line := <-out.c:
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Reason != reason || e.Seq != seq {
				t.Fatalf("got %q, want %s", line, reason)
			}
		case code := <-ended:
			t.Fatalf("it ended with %d", code)
		case <-time.After(20 * time.Second):
			t.Fatalf("no event %s", reason)
		}
	}
	notes := func(wants ...string) {
		t.Helper()
		for _, want := range wants {
			select {
			case line := <-errs.c:
				if !strings.Contains(line, want) {
					t.Fatalf("got %q, want %q", line, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no word of %q", want)
			}
		}
	}
	next("One", 1)
	first.Add(api.Event{Reason: "Two"})
	next("Two", 2)
	s.end()
	notes("connection lost")
	first.Add(api.Event{Reason: "Three"}) // while nobody serves
	s.begin(first)
	notes("connected again")
	next("Three", 3)
	s.end()
	notes("connection lost")
	second := events.New(events.Options{})
	second.Add(api.Event{Reason: "Four"})
	s.begin(second)
	notes("connected again", "started anew")
	next("Four", 1)
	second.Add(api.Event{Reason: "Five"})
	next("Five", 2)
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if len(out.c)+len(errs.c) != 0 {
		t.Errorf("there is more: %q %q", <-out.c, <-errs.c)
	}
}

func TestWaterfall(t *testing.T) {
	t.Parallel()
	var steps []nic.Step
	for _, s := range []struct {
		name  nic.StepName
		after time.Duration
	}{
		{nic.StepAsked, 0},
		{nic.StepPlanned, 0},
		{nic.StepPlaced, 40 * time.Millisecond},
		{nic.StepAttached, time.Second},
		{"\x1b[31m", 1001 * time.Millisecond},
		{nic.StepBound, 2 * time.Second},
	} {
		steps = append(steps, nic.Step{Name: s.name, At: noon.Add(s.after)})
	}
	for name, tc := range map[string]struct {
		steps []nic.Step
		want  string
	}{
		"none": {nil, ""},
		"bound": {steps, `Waterfall:
  asked:      +0.000s     0.000s  |                                        |
  planned:    +0.000s     0.000s  |                                        |
  placed:     +0.000s     0.040s  |#                                       |
  attached:   +0.040s     0.960s  | ###################                    |
  \x1b[31m:   +1.000s     0.001s  |                    #                   |
  bound:      +1.001s     0.999s  |                    ####################|
  in all:     2.000s
`},
		"on its way": {steps[:3], `Waterfall:
  asked:     +0.000s     0.000s  |                                        |
  planned:   +0.000s     0.000s  |                                        |
  placed:    +0.000s     0.040s  |########################################|
  so far:    0.040s, and 5s since
`},
	} {
		var out bytes.Buffer
		s := &sheet{now: noon.Add(5*time.Second + 40*time.Millisecond)}
		s.waterfall(api.Waterfall(tc.steps))
		if err := s.flush(&out); err != nil || out.String() != tc.want {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, &out, tc.want)
		}
	}
}
