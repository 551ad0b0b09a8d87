package client_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// F54: a controller of the release before refuses a body with fields that it does
// not know, so it is sent none: neither a tenant nor the steps of a NIC. One that
// says in its answer to hello that it knows them gets them.
func TestF54_AnOlderControllerIsSentWhatItKnows(t *testing.T) {
	t.Parallel()
	for _, level := range []int{0, nic.APILevel} {
		var bodies []string
		mux := http.NewServeMux()
		mux.HandleFunc("PUT /v1/nodes/n1/hello", func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(nic.Node{Name: "n1", Session: 1, API: level})
		})
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			w.Write([]byte("{}"))
		})
		path := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		c, err := client.Open(client.Options{Addresses: []string{"unix://" + path}})
		if err != nil {
			t.Fatal(err)
		}
		request := nic.Request{Interface: "eth0", Network: "lab", Tenant: "shop"}
		report := nic.NodeReport{Session: 1, NICs: []nic.Observed{{NIC: nic.NewID(), Steps: []nic.NodeStep{{}}}}}
		for range 2 { // before the hello, when nothing is known, and after it
			if _, err := c.Acquire(t.Context(), nic.Owner{Node: "n1"}, "web", request); err != nil {
				t.Fatal(err)
			}
			if err := c.Report(t.Context(), "n1", report); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		srv.Close()
		<-served
		for i, body := range bodies {
			known := level > 0 && i >= 2
			if has := strings.Contains(body, `"tenant":"shop"`) || strings.Contains(body, `"steps":`); has != known {
				t.Errorf("level %d, call %d: %s", level, i, body)
			}
		}
		if len(bodies) != 4 || request.Tenant == "" || report.NICs[0].Steps == nil {
			t.Errorf("level %d: %d calls; the caller's own are %+v and %+v", level, len(bodies), request, report)
		}
	}
}
