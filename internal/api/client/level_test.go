package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// refuser is a controller that can be replaced by one of another release, and
// refuses bodies as if they had a field that is new to it.
type refuser struct {
	level   atomic.Int64
	refuses atomic.Int64 // so many yet
	bodies  atomic.Int64 // that came
}

func (f *refuser) answer(w http.ResponseWriter, r *http.Request) {
	f.bodies.Add(1)
	w.Header().Set(api.LevelHeader, strconv.FormatInt(f.level.Load(), 10))
	answer := `{}`
	switch {
	case f.refuses.Add(-1) >= 0:
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer = `{"code":"invalid","message":"unexpected property"}`
	case strings.HasSuffix(r.URL.Path, "/hello"):
		answer = `{"name":"n1","session":1}`
	}
	fmt.Fprint(w, answer)
}

// F54: what a controller of the release before refuses for a field that it does not
// know is sent again, as it knows it. One that is replaced under a running agent, by
// an older one or by a newer, needs no new hello for that: each answer says what it
// knows. Reports are sent by what is known already, so that not each is refused first;
// requests and hellos never are. What is invalid at this release's stays so.
func TestF54_AControllerIsSentWhatItKnows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   []string // a number is a controller of that level that comes instead; "!" has the first body refused
		want []int64  // so many bodies came
	}{
		{"new", []string{"hello", "acquire", "report"}, []int64{1, 1, 1}},
		{"new, what is invalid", []string{"hello!", "acquire!", "report!"}, []int64{1, 1, 1}},
		{"old, before its hello", []string{"0", "acquire!", "report!"}, []int64{2, 1}},
		{"old, first a report", []string{"0", "report!", "report!"}, []int64{2, 1}},
		{"old", []string{"0", "hello!", "report!", "acquire!", "hello!"}, []int64{2, 1, 2, 2}},
		{"put back", []string{"hello", "0", "report!", "report!", "acquire!"}, []int64{1, 2, 1, 2}},
		{"brought forward", []string{"0", "hello", "2", "acquire!", "report!"}, []int64{1, 1, 1}},
		{"brought forward, then put back", []string{"0", "hello", "2", "report", "0", "report!"}, []int64{1, 1, 2}},
		{"the release before, brought forward", []string{"1", "hello!", "report", "2", "report", "report!"}, []int64{2, 1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := &refuser{}
			f.level.Store(api.Level)
			c := stub(t, f.answer)
			var got []int64
			for _, do := range test.do {
				if level, err := strconv.ParseInt(do, 10, 64); err == nil {
					f.level.Store(level)
					continue
				}
				call, refused := strings.CutSuffix(do, "!")
				if refused {
					f.refuses.Store(1)
				}
				f.bodies.Store(0)
				err := send(t, c, call)
				f.refuses.Store(0)
				got = append(got, f.bodies.Load())
				if again := f.bodies.Load() > 1; refused && !again && !api.IsInvalid(err) || (!refused || again) && err != nil {
					t.Errorf("%s: %v", do, err)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q are %d bodies, want %d", test.do, got, test.want)
			}
		})
	}
}

func send(t *testing.T, c *client.Client, call string) (err error) {
	switch call {
	case "hello":
		_, err = c.Hello(t.Context(), "n1", nic.Inventory{})
	case "acquire":
		_, err = c.Acquire(t.Context(), nic.Owner{Node: "n1"}, "web", nic.Request{Interface: "eth0", Network: "lab"})
	case "report":
		err = c.Report(t.Context(), "n1", nic.NodeReport{Session: 1})
	}
	return err
}

// F54: a controller of the release before is asked for a NIC without a word of
// processors, and what the agent has in hand is not changed.
func TestF54_ProcessorsAreForWhoKnowsThem(t *testing.T) {
	t.Parallel()
	var knows atomic.Bool
	var said []string
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		numa := strings.Contains(string(body), "numa")
		said = append(said, fmt.Sprint(numa))
		w.Header().Set(api.LevelHeader, "1")
		if knows.Load() {
			w.Header().Set(api.LevelHeader, "2")
		} else if numa {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid","message":"unexpected property"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	})
	req := nic.Request{Interface: "eth0", Network: "lab", NUMA: new(1)}
	for _, level2 := range []bool{false, true} {
		knows.Store(level2)
		if _, err := c.Acquire(t.Context(), nic.Owner{Node: "n1"}, "web", req); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(said, " "); got != "true false true" || *req.NUMA != 1 {
		t.Errorf("was told of processors: %s, and the request is %+v", got, req)
	}
}

// F54: a controller of the release before is sent no cards and no former settings of
// VFs, which it would refuse, and neither is what the agent has in hand changed. The
// newer one that comes after it hears no new hello, and gets the cards with the next
// report, once.
func TestF54_CardsAreForWhoKnowsThem(t *testing.T) {
	t.Parallel()
	var level atomic.Int64
	level.Store(1)
	var said []string
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.LevelHeader, strconv.FormatInt(level.Load(), 10))
		body, _ := io.ReadAll(r.Body)
		knows := level.Load() >= api.LevelCards
		if word := strings.Contains(string(body), "cards") || strings.Contains(string(body), "former"); word && !knows {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid","message":"unexpected property"}`)
			return
		}
		var in struct {
			Cards *[]nic.Card    `json:"cards"`
			NICs  []nic.Observed `json:"nics"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		word := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		if in.Cards != nil {
			word += fmt.Sprintf(" cards %d", len(*in.Cards))
		}
		for _, o := range in.NICs {
			word += fmt.Sprintf(" former %d%s", len(o.Former), o.Device)
		}
		said = append(said, word)
		fmt.Fprint(w, `{"name":"n1","session":1}`)
	})
	cards := []nic.Card{{PCI: "0000:03:00.0", VFs: []nic.CardVF{{PCI: "0000:03:10.0", Used: "free"}}}}
	report := nic.NodeReport{Session: 1, NICs: []nic.Observed{{NIC: "nic-1", Former: []nic.VFWas{{Boot: "b"}}, Device: "/dev/vfio/7"}}}
	hello := func() error { _, err := c.Hello(t.Context(), "n1", nic.Inventory{Cards: cards}); return err }
	tell := func(r nic.NodeReport) func() error { return func() error { return c.Report(t.Context(), "n1", r) } }
	now := func(n int64) func() error { return func() error { level.Store(n); return nil } }
	none := nic.NodeReport{Session: 1, Cards: new([]nic.Card)}
	for _, do := range []func() error{
		hello, tell(report), // to the release before
		now(2), tell(nic.NodeReport{}), tell(report), tell(nic.NodeReport{}), // the first is by what is known, and learns
		hello, tell(none),
		now(1), tell(none), now(2), tell(nic.NodeReport{}), tell(nic.NodeReport{}), tell(nic.NodeReport{}),
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"hello", "report former 0",
		"report", "report cards 1 former 1/dev/vfio/7", "report",
		"hello cards 1", "report cards 0",
		"report", "report", "report cards 0", "report",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said\n%q, want\n%q", said, want)
	}
	if len(report.NICs[0].Former) != 1 || len(cards) != 1 {
		t.Errorf("the agent's own words were changed: %+v", report)
	}
}

// F54: an answer of somebody who is no nicferryd does not say what one knows: the
// report after it is sent as to one of this release, and again as to an older one.
func TestF54_SomebodyElsesAnswer(t *testing.T) {
	t.Parallel()
	f := &refuser{}
	f.refuses.Store(1)
	somebody := true
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		if somebody {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		f.answer(w, r)
	})
	if err := send(t, c, "report"); err == nil {
		t.Error("it was taken")
	}
	somebody = false
	if err := send(t, c, "report"); err != nil || f.bodies.Load() != 2 {
		t.Errorf("%d bodies, %v; want 2", f.bodies.Load(), err)
	}
}
