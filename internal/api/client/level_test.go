package client_test

import (
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

// older is a controller that can be replaced by one of another release.
type older struct {
	level  atomic.Int64
	bodies []string // what it has taken and refused, in order
}

func (o *older) serve(t *testing.T) *client.Client {
	return stub(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		text, word := string(body), "takes"
		level := o.level.Load()
		if level > 0 {
			w.Header().Set(api.LevelHeader, strconv.FormatInt(level, 10))
		}
		fields := ""
		for _, field := range []string{`"tenant":`, `"steps":`, `"moves":`} {
			if strings.Contains(text, field) {
				fields += field
			}
		}
		answer := `{}`
		switch bad := strings.Contains(text, "nic-bad"); {
		case bad || level == 0 && fields != "":
			word = "refuses"
			w.WriteHeader(http.StatusUnprocessableEntity)
			answer = `{"code":"invalid","message":"unexpected property"}`
		case strings.HasSuffix(r.URL.Path, "/hello"):
			answer = `{"name":"n1","session":1}`
		}
		fmt.Fprint(w, answer)
		if fields != "" || word == "refuses" {
			o.bodies = append(o.bodies, word+" "+fields)
		} else {
			o.bodies = append(o.bodies, word)
		}
	})
}

// F54: a controller of the release before refuses a body with fields that it does
// not know, so it is sent none: neither a tenant, the steps of a NIC, nor that a node carries out orders. One that
// is replaced under a running agent, by an older one or by a newer, needs no new
// hello for that: each answer says what it knows. A request is never without its
// tenant at a controller that knows tenants, whatever was known before.
func TestF54_AControllerIsSentWhatItKnows(t *testing.T) {
	t.Parallel()
	const tenant, steps, moves = `"tenant":`, `"steps":`, `"moves":`
	for _, test := range []struct {
		name string
		do   []string // a level is a controller's that comes instead
		want []string
	}{
		{"new, before its hello", []string{"acquire"}, []string{"takes " + tenant}},
		{"new", []string{"hello", "acquire", "report"}, []string{"takes", "takes " + tenant, "takes " + steps}},
		{"old, before its hello", []string{"0", "acquire", "report"}, []string{"refuses " + tenant, "takes", "takes"}},
		{"old", []string{"0", "hello", "report", "acquire"}, []string{"takes", "takes", "refuses " + tenant, "takes"}},
		{"put back", []string{"hello", "0", "report", "report"}, []string{"takes", "refuses " + steps, "takes", "takes"}},
		{"brought forward", []string{"0", "hello", "1", "acquire", "report"}, []string{"takes", "takes " + tenant, "takes " + steps}},
		{"brought forward, first a report", []string{"0", "hello", "1", "report", "report"}, []string{"takes", "takes", "takes " + steps}},
		{"new, a node that moves", []string{"moves", "acquire"}, []string{"takes " + moves, "takes " + tenant}},
		{"old, a node that moves", []string{"0", "moves", "report"}, []string{"refuses " + moves, "takes", "takes"}},
		{"brought forward, a node that moves", []string{"0", "hello", "1", "moves"}, []string{"takes", "takes " + moves}},
		{"what is invalid stays so", []string{"bad", "0", "bad"}, []string{"refuses " + steps, "refuses " + steps, "refuses "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := &older{}
			o.level.Store(api.Level)
			c := o.serve(t)
			request := nic.Request{Interface: "eth0", Network: "lab", Tenant: "shop"}
			report := func(id nic.ID) error {
				said := nic.NodeReport{Session: 1, NICs: []nic.Observed{{NIC: id, Steps: []nic.NodeStep{{Name: nic.StepFound}}}}}
				err := c.Report(t.Context(), "n1", said)
				if len(said.NICs[0].Steps) != 1 {
					t.Error("the caller's own report has lost its steps")
				}
				return err
			}
			for _, do := range test.do {
				var err error
				switch do {
				case "0":
					o.level.Store(0)
				case "1":
					o.level.Store(1)
				case "hello":
					_, err = c.Hello(t.Context(), "n1", nic.Inventory{})
				case "moves":
					_, err = c.Hello(t.Context(), "n1", nic.Inventory{Moves: true})
				case "acquire":
					_, err = c.Acquire(t.Context(), nic.Owner{Node: "n1"}, "web", request)
				case "report":
					err = report("nic-1")
				case "bad":
					if err = report("nic-bad"); api.IsInvalid(err) {
						err = nil
					} else {
						t.Errorf("got %v, want invalid", err)
					}
				}
				if err != nil {
					t.Errorf("%s: %v", do, err)
				}
			}
			if !slices.Equal(o.bodies, test.want) {
				t.Errorf("the controller\n%q, want\n%q", o.bodies, test.want)
			}
		})
	}
}

// F54: an answer of somebody who is no nicferryd does not say what one knows.
func TestF54_SomebodyElsesAnswer(t *testing.T) {
	t.Parallel()
	var bodies []string
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		http.Error(w, "no", http.StatusForbidden)
	})
	for range 2 {
		said := nic.NodeReport{NICs: []nic.Observed{{NIC: "nic-1", Steps: []nic.NodeStep{{Name: nic.StepFound}}}}}
		if err := c.Report(t.Context(), "n1", said); err == nil {
			t.Error("it was taken")
		}
	}
	for _, body := range bodies {
		if !strings.Contains(body, `"steps"`) {
			t.Errorf("sent %s", body)
		}
	}
}
