package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/nic"
)

// defaultHeartbeat is the time between two comments on a quiet watch. It is
// short enough for a reader to tell a quiet controller from a dead one.
const defaultHeartbeat = 10 * time.Second

// Options are the parts of the API's handler.
type Options struct {
	Backend Backend      // required
	Mover   Mover        // moves containers; default is one that refuses
	Log     *slog.Logger // required
	Version api.Version  // what GET /v1/version says; optional
	// Kinds says which code the backend's own errors get, first match wins.
	// Errors of the store and of providers need no entry. Optional.
	Kinds []Kind
	// Events remember what happens, refused calls among it; default is a log of
	// its own.
	Events Events
	// Trust is the controller's own authority over certificates. Optional;
	// without one nobody gets any.
	Trust Trust
	// Tasks are the orders to nodes. Optional; without them nobody gets any.
	Tasks Tasks
	// Streams join nodes that send with those that take. Optional; without them
	// none is open.
	Streams Streams
	// Tenants are those that have a quota of requests; more are answered with 429
	// and Retry-After. Optional.
	Tenants []nic.Tenant
	// TenantsOf are a node's tenants, its own first. The calls of the nodes of
	// different tenants take turns. Optional: without it all are the default's.
	TenantsOf func(node string) []string
	// Heartbeat is the time between two comments on a quiet watch; default 10 s.
	Heartbeat time.Duration
	// Requested is told of each request that has ended, for metrics; operation is
	// empty where there is no such route, and stays is for one that stays open
	// until somebody hangs up. Optional.
	Requested func(operation string, code int, took time.Duration, stays bool)
}

type server struct {
	Options
	api   huma.API
	joins *joinRate

	limits *limits
	turns  *turns
	tells  *rate.Limiter // events of tokens that let nobody in
	noise  *rate.Limiter // lines of the log about nobody
	shown  *shown
}

// New makes the handler of the whole API. It does not block, starts nothing
// and panics only if the routes contradict each other, which a test would see.
func New(opts Options) http.Handler {
	if opts.Heartbeat == 0 {
		opts.Heartbeat = defaultHeartbeat
	}
	if opts.Requested == nil {
		opts.Requested = func(string, int, time.Duration, bool) {}
	}
	if opts.Events == nil {
		opts.Events = events.New(events.Options{})
	}
	mux := http.NewServeMux()
	if opts.Mover == nil {
		opts.Mover = noMover{}
	}
	if opts.Trust == nil {
		opts.Trust = noTrust{}
	}
	opts.Trust = tellingTrust{opts.Trust, opts.Events}
	s := &server{Options: opts, joins: newJoinRate(), limits: newLimits(opts.Tenants), turns: newTurns(), tells: newTells(), noise: newNoise(), shown: newShown()}
	s.api = humago.New(mux, s.config())
	s.api.UseMiddleware(nameOperation, s.authorise)
	s.claimRoutes()
	s.nicRoutes()
	s.nodeRoutes()
	s.networkRoutes()
	s.taskRoutes()
	s.streamRoutes()
	s.auditRoute()
	s.farewellRoutes()
	s.moveRoutes()
	s.drainRoutes()
	s.watchRoute()
	s.eventsRoute()
	s.statusRoutes()
	s.joinRoutes()
	s.tokenRoutes()
	document, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the OpenAPI document: %v", err))
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) {
		if err := s.standing(r.Context(), "openapi", peerOf(r.Context()), anybody); err != nil {
			e := s.wire(r.Context(), huma.Operation{OperationID: "openapi"}, err)
			writeError(w, e.Code.Status(), e)
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(document)
	})
	return s.guard(s.identify(withSession(withFallback(mux))))
}
