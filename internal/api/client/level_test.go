package client_test

import (
	"errors"
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

// F54: what an older controller refuses for a field that it does not know is sent
// again, as it knows it. One that is replaced under a running agent, by an older one or
// by a newer, needs no new hello for that: each answer says what it knows. Reports are
// sent by what is known already, so that not each is refused first; requests and hellos
// never are. What is invalid at this release's stays so.
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
		{"of the level before, brought forward", []string{"1", "hello!", "report", "2", "report", "report!"}, []int64{2, 1, 1, 1}},
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

// F54: what is new with a level is left out for a controller that does not know it, of
// each body, and what the agent has in hand is not changed. Cards, what VFs were and
// processors stand for it here.
func TestF54_NewsAreForWhoKnowsThem(t *testing.T) {
	client.SetNews(t, api.Level, func(body any) {
		switch b := body.(type) {
		case *api.AcquireRequest:
			b.Request.NUMA = nil
		case *nic.Inventory:
			b.Cards = nil
		case *nic.NodeReport:
			b.NICs = slices.Clone(b.NICs)
			b.NICs[0].Former = nil
		}
	})
	var level atomic.Int64
	var said []string
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.LevelHeader, strconv.FormatInt(level.Load(), 10))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		word := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		for _, field := range []string{`"numa":1`, `"cards":`, `"former":`} { // a card has its numa, which is 0
			if strings.Contains(string(body), field) {
				word += " " + field
			}
		}
		if level.Load() < api.Level && strings.Contains(word, " ") {
			word += " refused"
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid","message":"unexpected property"}`)
		} else {
			fmt.Fprint(w, `{"name":"n1","session":1}`)
		}
		said = append(said, word)
	})
	inventory := nic.Inventory{Cards: []nic.Card{{PCI: "0000:03:00.0", VFs: []nic.CardVF{}}}}
	request := nic.Request{Interface: "eth0", Network: "lab", NUMA: new(1)}
	report := nic.NodeReport{Session: 1, NICs: []nic.Observed{{NIC: "nic-1", Former: []nic.VFWas{{Boot: "b"}}}}}
	for _, now := range []int64{api.Level - 1, api.Level} {
		level.Store(now)
		_, err := c.Hello(t.Context(), "n1", inventory)
		_, err2 := c.Acquire(t.Context(), nic.Owner{Node: "n1"}, "web", request)
		if err := errors.Join(err, err2, c.Report(t.Context(), "n1", report)); err != nil {
			t.Errorf("at level %d: %v", now, err)
		}
	}
	want := []string{
		`hello "cards": refused`, "hello", `claims "numa":1 refused`, "claims", "report",
		`hello "cards":`, `claims "numa":1`, `report "former":`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("said\n%q, want\n%q", said, want)
	}
	if len(inventory.Cards) != 1 || request.NUMA == nil || len(report.NICs[0].Former) != 1 {
		t.Errorf("the agent's own words were changed: %+v, %+v, %+v", inventory, request, report)
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
