package cloudsim_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
)

func seconds(n int) nic.Duration { return nic.Duration(time.Duration(n) * time.Second) }

func (w *world) inject(f ...cloudsim.Fault) []string {
	w.t.Helper()
	return must(w.Inject(f...))(w.t)
}

// A fault is addressed by API, nth call and resource.
func TestAFaultStrikesWhatItIsAddressedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{})
		node := must(w.DescribeInstances(t.Context(), w.call, cloudsim.Describe{IDs: []string{w.node.ID}}))(t).Items[0].Interfaces[0].ID
		for name, c := range map[string]struct {
			fault cloudsim.Fault
			want  string // a letter for each of five creates: x is struck
		}{
			"next":              {cloudsim.Fault{}, "x...."},
			"third":             {cloudsim.Fault{Nth: 3}, "..x.."},
			"two from second":   {cloudsim.Fault{Nth: 2, Count: 2}, ".xx.."},
			"for ever":          {cloudsim.Fault{Count: -1}, "xxxxx"},
			"three seconds":     {cloudsim.Fault{For: seconds(3)}, "xxx.."},
			"three, but one":    {cloudsim.Fault{For: seconds(3), Count: 1}, "x...."},
			"the API":           {cloudsim.Fault{API: "CreateNetworkInterface"}, "x...."},
			"some APIs":         {cloudsim.Fault{API: "Create*"}, "x...."},
			"another API":       {cloudsim.Fault{API: "Describe*", Count: -1}, "....."},
			"the subnet":        {cloudsim.Fault{Resource: "subnet-n*"}, "x...."},
			"the tag":           {cloudsim.Fault{Resource: "tag:a=x"}, "x...."},
			"the token":         {cloudsim.Fault{Resource: "token-2"}, "..x.."},
			"another interface": {cloudsim.Fault{Resource: node, Count: -1}, "....."},
			"another caller":    {cloudsim.Fault{Caller: "AKIAOTHER"}, "....."},
			"the caller":        {cloudsim.Fault{Caller: "AKIATEST"}, "x...."},
		} {
			c.fault.Verb = cloudsim.ServerError
			names := w.inject(c.fault)
			got := ""
			for n := range 5 {
				err := w.refused(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "x"}, Token: "token-" + string(rune('0'+n))})
				got += map[string]string{"InternalError": "x", "": "."}[code(err)]
				time.Sleep(time.Second)
			}
			if got != c.want {
				t.Errorf("%s: %s, not %s", name, got, c.want)
			}
			w.Clear(names...)
		}
		if n := len(w.Faults()); n != 0 {
			t.Errorf("%d faults are left", n)
		}
	})
}

func TestAllThatIsWrongWithFaultsIsToldAtOnce(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	_, err := w.Inject(
		cloudsim.Fault{Name: "one", Verb: "telephone", Nth: -1},
		cloudsim.Fault{Name: "two", Verb: cloudsim.Stuck, State: "blue", Count: -2},
		cloudsim.Fault{Name: "three", Verb: cloudsim.DelayVisible},
		cloudsim.Fault{Name: "four", Verb: cloudsim.Fail, Status: 42},
		cloudsim.Fault{Name: "five", Verb: cloudsim.ForeignObjects},
		cloudsim.Fault{Name: "six", Verb: cloudsim.LoseReply, After: true},
	)
	if err == nil {
		t.Fatal("they are taken")
	}
	for _, want := range []string{
		`fault one: verb "telephone"`, "fault one: nth is -1", `fault two: state is "blue"`, "fault two: count is -2",
		"fault three: needs a delay", "fault four: needs a code", "fault four: status is 42", "fault five: needs foreign", "fault six: after",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s in\n%v", want, err)
		}
	}
	if len(w.Faults()) != 0 {
		t.Error("some are planned all the same")
	}
	w.inject(cloudsim.Fault{Name: "same", Verb: cloudsim.Throttle})
	if _, err := w.Inject(cloudsim.Fault{Name: "same", Verb: cloudsim.Throttle}); err == nil {
		t.Error("two faults have one name")
	}
}

func TestFaultsAreWrittenAsPeopleDo(t *testing.T) {
	want := cloudsim.Fault{Verb: cloudsim.Stuck, API: "DetachNetworkInterface", Nth: 2, Delay: seconds(600), State: "detaching"}
	var fromJSON, fromYAML cloudsim.Fault
	if err := json.Unmarshal([]byte(`{"verb":"stuck","api":"DetachNetworkInterface","nth":2,"delay":"10m","state":"detaching"}`), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte("verb: stuck\napi: DetachNetworkInterface\nnth: 2\ndelay: 10m\nstate: detaching\n"), &fromYAML); err != nil {
		t.Fatal(err)
	}
	same(t, fromJSON, want)
	same(t, fromYAML, want)
}

// What a fault of the wire leaves done, and what the face and others hear.
func TestFaultsOfTheWire(t *testing.T) {
	for name, c := range map[string]struct {
		fault cloudsim.Fault
		done  bool
		wire  cloudsim.Wire
	}{
		"lose-reply":  {cloudsim.Fault{Verb: cloudsim.LoseReply}, true, cloudsim.Wire{Verb: "lose-reply"}},
		"half":        {cloudsim.Fault{Verb: cloudsim.Half}, true, cloudsim.Wire{Verb: "half"}},
		"reset":       {cloudsim.Fault{Verb: cloudsim.Reset}, false, cloudsim.Wire{Verb: "reset"}},
		"reset after": {cloudsim.Fault{Verb: cloudsim.Reset, After: true}, true, cloudsim.Wire{Verb: "reset"}},
		"html":        {cloudsim.Fault{Verb: cloudsim.HTML}, false, cloudsim.Wire{Verb: "html", Status: 502}},
		"html after":  {cloudsim.Fault{Verb: cloudsim.HTML, After: true, Status: 200}, true, cloudsim.Wire{Verb: "html", Status: 200}},
		"empty":       {cloudsim.Fault{Verb: cloudsim.Empty}, true, cloudsim.Wire{Verb: "empty", Status: 200}},
		"empty 500":   {cloudsim.Fault{Verb: cloudsim.Empty, Status: 500}, false, cloudsim.Wire{Verb: "empty", Status: 500}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cloudsim.Options{})
			c.fault.API, c.fault.Count = "Create*", -1
			name := w.inject(c.fault)[0]
			before := len(w.Interfaces())
			var wire cloudsim.Wire
			call := w.call
			call.Wire = &wire
			_, err := w.CreateInterface(t.Context(), call, cloudsim.CreateInterface{Subnet: w.near.ID})
			if wire != c.wire || (err == nil) != c.done {
				t.Errorf("the face gets %+v and %v", wire, err)
			}
			err = w.refused(cloudsim.CreateInterface{})
			if e, ok := errors.AsType[*cloudsim.WireError](err); !ok || e.Wire != c.wire {
				t.Errorf("who has no Wire gets %v", err)
			}
			if made := len(w.Interfaces()) - before; made != map[bool]int{true: 2}[c.done] {
				t.Errorf("%d are made", made)
			}
			log := w.Log(0)
			if last := log[len(log)-1]; last.Fault != name && log[len(log)-2].Fault != name {
				t.Errorf("the log does not name it: %+v", last)
			}
		})
	}
}
