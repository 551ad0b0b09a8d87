package ec2

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
)

// Each fault of the wire is what the client sees, and is as good as done or not
// done as the model says.
func TestWireFaultsAsTheClientSeesThem(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		fault cloudsim.Fault
		seen  func(replied) bool
		done  bool
	}{
		{
			name: "lost reply", fault: cloudsim.Fault{Verb: cloudsim.LoseReply}, done: true,
			seen: func(r replied) bool { return errors.Is(r.err, io.EOF) },
		},
		{
			name: "reset", fault: cloudsim.Fault{Verb: cloudsim.Reset},
			seen: func(r replied) bool { return errors.Is(r.err, syscall.ECONNRESET) },
		},
		{
			name: "reset afterwards", fault: cloudsim.Fault{Verb: cloudsim.Reset, After: true}, done: true,
			seen: func(r replied) bool { return errors.Is(r.err, syscall.ECONNRESET) },
		},
		{
			name: "a proxy's page", fault: cloudsim.Fault{Verb: cloudsim.HTML},
			seen: func(r replied) bool {
				return r.status == 502 && r.header.Get("Content-Type") == "text/html" && strings.HasPrefix(r.body, "<html>")
			},
		},
		{
			name: "a page for success", fault: cloudsim.Fault{Verb: cloudsim.HTML, Status: 200, After: true}, done: true,
			seen: func(r replied) bool { return r.status == 200 && strings.HasPrefix(r.body, "<html>") },
		},
		{
			name: "empty 200", fault: cloudsim.Fault{Verb: cloudsim.Empty}, done: true,
			seen: func(r replied) bool { return r.status == 200 && r.body == "" && r.err == nil },
		},
		{
			name: "empty 500", fault: cloudsim.Fault{Verb: cloudsim.Empty, Status: 500},
			seen: func(r replied) bool { return r.status == 500 && r.body == "" && r.err == nil },
		},
		{
			name: "half an answer", fault: cloudsim.Fault{Verb: cloudsim.Half}, done: true,
			seen: func(r replied) bool {
				return errors.Is(r.err, io.ErrUnexpectedEOF) && strings.Contains(r.body, "<CreateNetworkInterfaceResponse") && !strings.Contains(r.body, "</CreateNetworkInterfaceResponse")
			},
		},
		{
			name: "5xx", fault: cloudsim.Fault{Verb: cloudsim.ServerError},
			seen: func(r replied) bool { return r.status == 500 && r.first("Code") == "InternalError" },
		},
		{
			name: "503 of its own", fault: cloudsim.Fault{Verb: cloudsim.ServerError, Code: "Unavailable", Status: 503},
			seen: func(r replied) bool { return r.status == 503 && r.first("Code") == "Unavailable" },
		},
		{
			name: "throttled", fault: cloudsim.Fault{Verb: cloudsim.Throttle},
			seen: func(r replied) bool { return r.status == 503 && r.first("Code") == "RequestLimitExceeded" },
		},
		{
			name: "slow", fault: cloudsim.Fault{Verb: cloudsim.Slow, Delay: nic.Duration(10 * time.Millisecond)}, done: true,
			seen: func(r replied) bool { return r.status == 200 },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, cloudsim.Options{})
			c.fault.API = "CreateNetworkInterface"
			_, err := w.cloud.Inject(c.fault)
			w.must(err)
			got := w.call("CreateNetworkInterface", "SubnetId", w.subnet, "Description", "struck")
			if !c.seen(got) {
				t.Errorf("seen is %+v", got)
			}
			count := len(w.ok("DescribeNetworkInterfaces", "Filter.1.Name", "description", "Filter.1.Value.1", "struck").all("networkInterfaceId"))
			if (count == 1) != c.done {
				t.Errorf("%d were made", count)
			}
			w.create() // it strikes once
		})
	}
}

// The answers' date is by the cloud's clock, from which clients find out that
// theirs is wrong.
func TestDateIsTheCloudsOwn(t *testing.T) {
	t.Parallel()
	w := open(t, cloudsim.Options{})
	_, err := w.cloud.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(20 * time.Minute)})
	w.must(err)
	w.create()
	got := w.ok("DescribeVpcs")
	at, err := http.ParseTime(got.header.Get("Date"))
	w.must(err)
	if off := time.Until(at); off < 19*time.Minute || off > 21*time.Minute {
		t.Errorf("the date is off by %s", off)
	}
}

// What is lenient takes parameters that it does not know, until it is told.
func TestStrictFromNowOn(t *testing.T) {
	t.Parallel()
	w := open(t, cloudsim.Options{Lenient: true})
	w.create("Colour", "red")
	_, err := w.cloud.Inject(cloudsim.Fault{Verb: cloudsim.StrictValidation})
	w.must(err)
	if got := w.call("CreateNetworkInterface", "SubnetId", w.subnet, "Colour", "red"); got.first("Code") != "UnknownParameter" {
		t.Errorf("%+v", got)
	}
}
