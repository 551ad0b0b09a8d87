// Package ec2 speaks the query protocol of EC2 for a cloud in memory.
package ec2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

const (
	version = "2016-11-15"
	// longest is how much a request may be.
	longest = 1 << 20
)

// Options are what a face needs.
type Options struct {
	// Cloud is what it speaks for; required.
	Cloud *cloudsim.Cloud
	// Keys says what the access key signs with; required.
	Keys func(access string) (Key, bool)
	// Log is told of requests that were refused before the cloud saw them;
	// optional.
	Log *slog.Logger
}

// A Face answers EC2's calls. It may be used concurrently.
type Face struct {
	opts    Options
	actions map[string]action
}

// New returns a face. Requests are to its root, or below any path.
func New(o Options) *Face {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Face{opts: o, actions: actions()}
}

// A request is one that the face has understood.
type request struct {
	call    cloudsim.Call
	action  action
	decoded any
}

// ServeHTTP answers one call.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	var wire cloudsim.Wire
	asked, no := f.read(r)
	if no != nil {
		f.opts.Log.LogAttrs(r.Context(), slog.LevelWarn, "request refused before the cloud saw it",
			slog.String("api", asked.call.API), slog.String("code", no.code), slog.String("message", no.message),
			slog.String("request", id))
		f.reply(w, wire, id, "", nil, no.asError())
		return
	}
	api := asked.call.API
	asked.call.API, asked.call.RequestID, asked.call.Wire = "", id, &wire
	got, err := asked.action.run(r.Context(), f.opts.Cloud, asked.call, asked.decoded)
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // nobody is there any more
	}
	f.reply(w, wire, id, api, got, err)
}

// read authenticates and understands a request.
func (f *Face) read(r *http.Request) (request, *refusal) {
	var asked request
	body, err := io.ReadAll(io.LimitReader(r.Body, longest+1))
	if err != nil || len(body) > longest {
		return asked, refuse(notReadable, fmt.Sprintf("more than %d bytes, or cut off", longest))
	}
	who, no := verify(r, body, f.opts.Cloud.Clock(), f.opts.Keys)
	if no != nil {
		return asked, no
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return asked, refuse(notReadable, err)
	}
	posted, err := url.ParseQuery(string(body))
	if err != nil {
		return asked, refuse(notReadable, err)
	}
	for name, all := range posted {
		values[name] = append(values[name], all...)
	}
	asked, no = f.parse(values, f.opts.Cloud.Strict())
	asked.call.Caller, asked.call.Region = who.access, who.region
	return asked, no
}

// parse understands a call's parameters; strict refuses those that it does not know.
func (f *Face) parse(values url.Values, strict bool) (request, *refusal) {
	asked := request{call: cloudsim.Call{API: values.Get("Action")}}
	params, fault := query.Grow(values)
	if fault != nil {
		return asked, unreadable(fault)
	}
	var known bool
	asked.action, known = f.actions[asked.call.API]
	switch said := values.Get("Version"); {
	case asked.call.API == "":
		return asked, refuse(noAction)
	case !known:
		return asked, refuse(unknownAction, asked.call.API)
	case said != version:
		return asked, refuse(otherVersion, said)
	}
	params.Take("Action")
	params.Take("Version")
	if !asked.action.noDryRun {
		var common struct {
			DryRun bool `query:"DryRun"`
		}
		if fault := query.Decode(params, &common); fault != nil {
			return asked, unreadable(fault)
		}
		asked.call.DryRun = common.DryRun
	}
	if asked.decoded, fault = asked.action.decode(params); fault != nil {
		return asked, unreadable(fault)
	}
	for _, name := range params.Leaves() {
		if strict && asked.action.ignores(name) == "" {
			return asked, refuse(unknown, name)
		}
	}
	return asked, nil
}

var number = regexp.MustCompile(`\.\d+(\.|$)`)

// ignores says why the action does not heed a parameter, or "".
func (a action) ignores(name string) string {
	for {
		shorter := number.ReplaceAllString(name, ".N$1")
		if shorter == name {
			break
		}
		name = shorter
	}
	for {
		if why := a.ignored[name]; why != "" {
			return why
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return ""
		}
		name = name[:dot]
	}
}
