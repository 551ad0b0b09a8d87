package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/control"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// look is how often the file is looked at.
const look = 200 * time.Millisecond

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a control of a cloud with one subnet.
func open(t *testing.T) (*control.Control, *cloudsim.Cloud, string) {
	t.Helper()
	cloud := cloudsim.New(cloudsim.Options{})
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.80.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	return control.New(control.Options{
		Cloud: cloud, Metadata: imds.New(imds.Options{Source: cloud}), About: map[string]string{"vpc": vpc.ID},
	}), cloud, subnet.ID
}

// ask sends a request and reads the answer into v.
func ask(t *testing.T, c *control.Control, method, path, body string, v any) int {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
	return w.Code
}

func create(t *testing.T, cloud *cloudsim.Cloud, subnet string) error {
	t.Helper()
	_, err := cloud.CreateInterface(t.Context(), cloudsim.Call{}, cloudsim.CreateInterface{Subnet: subnet})
	return err
}

// Faults come and go by HTTP, and the log is read out by it.
func TestFaultsAndLogByHTTP(t *testing.T) {
	t.Parallel()
	c, cloud, subnet := open(t)
	var about map[string]string
	if code := ask(t, c, "GET", "/", "", &about); code != http.StatusOK || about["vpc"] == "" {
		t.Errorf("%d %v", code, about)
	}
	var faults []cloudsim.Planned
	if ask(t, c, "GET", "/faults", "", &faults); faults == nil || len(faults) != 0 {
		t.Errorf("in the beginning there are %v", faults)
	}
	var planned struct{ Names []string }
	const plan = "faults:\n- {name: slow-down, verb: throttle, api: CreateNetworkInterface, count: 2}\n- verb: limit\n  api: Attach*\nmetadata:\n- verb: silent\n"
	if code := ask(t, c, "POST", "/faults", plan, &planned); code != http.StatusOK || len(planned.Names) != 2 || planned.Names[0] != "slow-down" {
		t.Fatalf("%d %v", code, planned)
	}
	if err := create(t, cloud, subnet); err == nil || !strings.Contains(err.Error(), "RequestLimitExceeded") {
		t.Errorf("create: %v", err)
	}
	if ask(t, c, "GET", "/faults", "", &faults); len(faults) != 2 || faults[0].Struck != 1 {
		t.Errorf("planned are %+v", faults)
	}
	var cleared map[string]int
	if ask(t, c, "DELETE", "/faults?name=slow-down", "", &cleared); cleared["cleared"] != 1 {
		t.Errorf("%v", cleared)
	}
	if err := create(t, cloud, subnet); err != nil {
		t.Error(err)
	}
	if ask(t, c, "DELETE", "/faults", "", &cleared); cleared["cleared"] != 2 {
		t.Errorf("%v, want the other and the one of metadata", cleared)
	}
	var log []cloudsim.Entry
	ask(t, c, "GET", "/log", "", &log)
	if len(log) < 2 || log[0].API != "CreateNetworkInterface" || log[0].Code != "RequestLimitExceeded" || log[0].Fault != "slow-down" {
		t.Fatalf("%+v", log)
	}
	last := log[0].N
	log = nil
	ask(t, c, "GET", "/log?after=1", "", &log)
	if len(log) == 0 || log[0].N != last+1 || log[0].Code != "" || !log[0].Effect {
		t.Errorf("after 1: %+v", log)
	}
	var counts map[string]cloudsim.Count
	ask(t, c, "GET", "/counts", "", &counts)
	if got := counts["CreateNetworkInterface"]; got.Calls != 2 || got.Throttled != 1 {
		t.Errorf("%+v", counts)
	}
}

// Somebody else's interfaces are planted by HTTP.
func TestForeignByHTTP(t *testing.T) {
	t.Parallel()
	c, _, subnet := open(t)
	var planted struct{ Interfaces []string }
	if code := ask(t, c, "POST", "/foreign", `[{"subnet":"`+subnet+`","description":"not ours","count":3}]`, &planted); code != 200 || len(planted.Interfaces) != 3 {
		t.Errorf("%d %v", code, planted)
	}
}

// A member has a floating address from when it claims it.
func TestClaimsByHTTP(t *testing.T) {
	t.Parallel()
	c, cloud, subnet := open(t)
	made, err := cloud.AddInstances(cloudsim.RunInstances{Type: "m5.large", Subnet: subnet, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	v, err := cloud.CreateHaVip(t.Context(), cloudsim.Call{}, cloudsim.NewHaVip{Subnet: subnet})
	for _, i := range made {
		if err == nil {
			err = cloud.AssociateHaVip(t.Context(), cloudsim.Call{}, cloudsim.HaVipMember{HaVip: v.ID, Instance: i.ID})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]string
	code := ask(t, c, "POST", "/claims", `{"havip":"`+v.ID+`","member":"`+made[1].ID+`"}`, &said)
	page, err := cloud.DescribeHaVips(t.Context(), cloudsim.Call{}, cloudsim.Describe{})
	if err != nil || code != http.StatusOK || page.Items[0].Master != made[1].ID {
		t.Errorf("%d %v, %+v, %v", code, said, page, err)
	}
}

// Each wrong request is refused with all that is wrong, and changes nothing.
func TestWrongRequestsToTheControl(t *testing.T) {
	t.Parallel()
	c, cloud, _ := open(t)
	for _, r := range []struct{ method, path, body, want string }{
		{"POST", "/faults", "faults: [{verb: explode}, {verb: limit, nth: -1}]", "faults[1]"},
		{"POST", "/faults", "faults: [{verb: explode}]", "explode"},
		{"POST", "/faults", "faults: [{verb: limit, colour: red}]", "colour"},
		{"POST", "/faults", "faults: [{verb: limit}]\nmetadata: [{verb: explode}]", "metadata[0]"},
		{"POST", "/faults", "{", "read plan"},
		{"POST", "/foreign", `[{"colour":1}]`, "colour"},
		{"POST", "/foreign", `[{"subnet":"subnet-0"}]`, "subnet"},
		{"POST", "/claims", `{"havip":"havip-0","member":"i-0"}`, "havip-0"},
		{"POST", "/claims", `{"colour":1}`, "colour"},
		{"GET", "/log?after=x", "", "after"},
	} {
		var said struct{ Error string }
		if code := ask(t, c, r.method, r.path, r.body, &said); code != http.StatusBadRequest || !strings.Contains(said.Error, r.want) {
			t.Errorf("%s %s %s: %d %q, want %q", r.method, r.path, r.body, code, said.Error, r.want)
		}
	}
	if n := len(cloud.Faults()); n != 0 {
		t.Errorf("%d faults are planned", n)
	}
	if _, err := control.New(control.Options{Cloud: cloud}).Apply(control.Plan{Metadata: []imds.Fault{{Verb: imds.Silent}}}); err == nil {
		t.Error("faults of metadata are planned where there are none")
	}
}

// A file's faults are in force while they stand in it; others stay.
func TestWatchedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, cloud, _ := open(t)
		path := filepath.Join(t.TempDir(), "faults.yaml")
		save := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // of the bubble
		}
		verbs := func() string {
			var all []string
			for _, f := range cloud.Faults() {
				all = append(all, string(f.Verb))
			}
			return strings.Join(all, " ")
		}
		if _, err := c.Load(path); err == nil {
			t.Error("a file that is not there is taken")
		}
		if _, err := cloud.Inject(cloudsim.Fault{Verb: cloudsim.Limit}); err != nil {
			t.Fatal(err)
		}
		save("faults: [{verb: throttle}]")
		file, err := c.Load(path)
		if err != nil || verbs() != "limit throttle" {
			t.Fatalf("%v, %q", err, verbs())
		}
		ctx, cancel := context.WithCancel(t.Context())
		go file.Watch(ctx)
		for _, step := range []struct{ text, want string }{
			{"faults: [{verb: conflict}, {verb: stuck, state: attaching}]", "limit conflict stuck"},
			{"faults: [{verb: explode}]", "limit conflict stuck"}, // changes nothing
			{"faults: [{", "limit conflict stuck"},
			{"", "limit"},
			{"faults: [{verb: 5xx}]", "limit 5xx"},
		} {
			if save(step.text); verbs() != step.want {
				t.Errorf("%s: planned is %q, want %q", step.text, verbs(), step.want)
			}
		}
		time.Sleep(look / 2)                              // between two looks
		for _, half := range []string{"", "faults: []"} { // while it is being saved, at one look each
			if err := os.WriteFile(path, []byte(half), 0o600); err != nil {
				t.Fatal(err)
			}
			if time.Sleep(look); verbs() != "limit 5xx" {
				t.Errorf("while it is %q for a moment, planned is %q", half, verbs())
			}
		}
		if save("faults: [{verb: limit}]"); verbs() != "limit limit" {
			t.Errorf("saved, planned is %q", verbs())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(time.Second); verbs() != "limit" {
			t.Errorf("without the file there is %q", verbs())
		}
		cancel()
		synctest.Wait()
	})
}
