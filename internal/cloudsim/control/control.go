// Package control switches the faults of a cloud in memory while it runs, and
// reads its log out.
package control

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// longest is how much a request may be.
const longest = 1 << 20

// Options are the parts of a Control.
type Options struct {
	// Cloud is what it controls; required.
	Cloud *cloudsim.Cloud
	// Metadata is its metadata service; nil where there is none.
	Metadata *imds.Service
	// About is shown to who asks for nothing in particular; optional.
	About any
	// Log is told of plans that were taken and refused; optional.
	Log *slog.Logger
}

// A Control is an HTTP API without authentication: listen on loopback only. It
// may be used concurrently.
type Control struct {
	opts Options
	mux  *http.ServeMux
	// mu keeps plans from mixing.
	mu sync.Mutex
}

// New returns a control.
//
//	GET    /              what there is
//	GET    /faults        the faults that are planned, and what has come of them
//	POST   /faults        plan more: a Plan, in JSON or YAML
//	DELETE /faults        take back all faults, or with ?name=… those of the names
//	POST   /foreign       put interfaces of somebody else's into the world
//	POST   /claims        let a member of a floating address (HaVip) have it
//	GET    /log?after=N   the entries after number N
//	GET    /counts        how often each API was called
func New(o Options) *Control {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Control{opts: o, mux: http.NewServeMux()}
	c.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { write(w, o.About) })
	c.mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { write(w, list(o.Cloud.Faults())) })
	c.mux.HandleFunc("POST /faults", c.plan)
	c.mux.HandleFunc("DELETE /faults", c.clear)
	c.mux.HandleFunc("POST /foreign", c.plant)
	c.mux.HandleFunc("POST /claims", c.claim)
	c.mux.HandleFunc("GET /log", c.log)
	c.mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { write(w, o.Cloud.Counts()) })
	return c
}

// ServeHTTP answers a request of the API.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, longest)
	c.mux.ServeHTTP(w, r)
}

func (c *Control) plan(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, err)
		return
	}
	plan, err := ReadPlan(text)
	if err != nil {
		refuse(w, err)
		return
	}
	names, err := c.Apply(plan)
	if err != nil {
		refuse(w, err)
		return
	}
	write(w, map[string][]string{"names": list(names)})
}

// Apply plans faults besides those that there are, all or none, and returns the
// names of the cloud's.
func (c *Control) Apply(p Plan) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apply(p)
}

func (c *Control) apply(p Plan) ([]string, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(p.Metadata) > 0 && c.opts.Metadata == nil {
		return nil, errors.New("there are faults of metadata, and no metadata service")
	}
	names, err := c.opts.Cloud.Inject(p.Faults...)
	if err != nil {
		return nil, err
	}
	if len(p.Metadata) > 0 {
		if err := c.opts.Metadata.Inject(p.Metadata...); err != nil {
			c.opts.Cloud.Clear(names...)
			return nil, err
		}
	}
	c.opts.Log.Info("faults planned", slog.Any("names", names), slog.Int("metadata", len(p.Metadata)))
	return names, nil
}

func (c *Control) clear(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := r.URL.Query()["name"]
	n := c.opts.Cloud.Clear(names...)
	if len(names) == 0 && c.opts.Metadata != nil {
		n += c.opts.Metadata.Clear()
	}
	write(w, map[string]int{"cleared": n})
}

func (c *Control) plant(w http.ResponseWriter, r *http.Request) {
	var foreign []cloudsim.Foreign
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&foreign); err != nil {
		refuse(w, err)
		return
	}
	ids, err := c.opts.Cloud.Plant(foreign...)
	if err != nil {
		refuse(w, err)
		return
	}
	write(w, map[string][]string{"interfaces": list(ids)})
}

// A claim is what a member does by announcing the address in its network.
type claim struct {
	HaVip  string `json:"havip"`
	Member string `json:"member"`
}

func (c *Control) claim(w http.ResponseWriter, r *http.Request) {
	var asked claim
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&asked)
	if err == nil {
		err = c.opts.Cloud.ClaimHaVip(asked.HaVip, asked.Member)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	write(w, asked)
}

func (c *Control) log(w http.ResponseWriter, r *http.Request) {
	after := 0
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			refuse(w, errors.New("after: want the number of an entry, 0 or more"))
			return
		}
		after = n
	}
	write(w, list(c.opts.Cloud.Log(after)))
}

// list is [] in JSON where it is empty, and not null.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // the client may be gone: its loss
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
