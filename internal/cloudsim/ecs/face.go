// Package ecs speaks the RPC protocol of Alibaba Cloud's ECS and VPC for a cloud in memory.
package ecs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/query"
)

// The versions of the two services, which one endpoint answers here.
const (
	ecsVersion = "2014-05-26"
	vpcVersion = "2016-04-28"
)

// longest is how much a request may be.
const longest = 1 << 20

// Options are what a face needs.
type Options struct {
	// Cloud is what it speaks for, made with Shape; required.
	Cloud *cloudsim.Cloud
	// Keys says what the access key signs with; required.
	Keys func(access string) (Key, bool)
	// Log is told of requests that were refused before the cloud saw them;
	// optional.
	Log *slog.Logger
}

// A Face answers calls of both services. It may be used concurrently.
type Face struct {
	opts    Options
	actions map[string]action
	nonces  *nonces
}

// New returns a face. Requests are to its root, or below any path.
func New(o Options) *Face {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Face{opts: o, actions: actions(), nonces: newNonces()}
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
			slog.String("api", asked.call.Action), slog.String("code", no.Code), slog.String("message", no.Message),
			slog.String("request", id))
		f.reply(w, r, asked.call.Action, wire, id, nil, no)
		return
	}
	asked.call.RequestID, asked.call.Wire = id, &wire
	got, err := asked.action.run(r.Context(), f.opts.Cloud, asked.call, asked.decoded)
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // nobody is there any more
	}
	f.reply(w, r, asked.call.Action, wire, id, got, err)
}

// read authenticates and understands a request.
func (f *Face) read(r *http.Request) (request, *refusal) {
	var asked request
	body, err := io.ReadAll(io.LimitReader(r.Body, longest+1))
	if err != nil || len(body) > longest {
		return asked, refuse(notReadable, fmt.Sprintf("more than %d bytes, or cut off", longest))
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
	if no := f.verify(r.Method, values); no != nil {
		return asked, no
	}
	asked, no := f.parse(values, f.opts.Cloud.Strict())
	asked.call.Caller, asked.call.Region = values.Get("AccessKeyId"), values.Get("RegionId")
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		asked.call.From = from.Addr()
	}
	return asked, no
}

// common are the parameters of every request, which are read before.
var common = []string{
	"Action", "Version", "Format", "AccessKeyId", "RegionId", "SignatureMethod", "SignatureVersion", "SignatureType",
	"SignatureNonce", "Timestamp", "Signature", "SecurityToken",
	"OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount", // for who acts for another account
}

// checkCommon refuses what no call takes: a token of more than 64 characters or of others
// than ASCII's [D], and a resource group, of which there are none here.
func checkCommon(values url.Values) *refusal {
	token := values.Get("ClientToken")
	switch group := values.Get("ResourceGroupId"); {
	case len(token) > 64 || strings.ContainsFunc(token, func(r rune) bool { return r > unicode.MaxASCII }):
		return refuse(badValue, "ClientToken")
	case group != "" && !strings.HasPrefix(group, "rg-"):
		return refuse(noGroup)
	}
	return nil
}

// parse understands a call's parameters; strict refuses those that it does not know.
func (f *Face) parse(values url.Values, strict bool) (request, *refusal) {
	asked := request{call: cloudsim.Call{Action: values.Get("Action")}}
	params, fault := query.Grow(values)
	if fault != nil {
		return asked, unreadable(fault)
	}
	var known bool
	asked.action, known = f.actions[asked.call.Action]
	switch said := values.Get("Version"); {
	case asked.call.Action == "":
		return asked, refuse(missing, "Action")
	case !known:
		return asked, refuse(unknownAction)
	case said != asked.action.version:
		return asked, refuse(otherVersion)
	case values.Get("RegionId") == "":
		return asked, refuse(missing, "RegionId")
	}
	if no := checkCommon(values); no != nil {
		return asked, no
	}
	for _, name := range common {
		params.Take(name)
	}
	for name := range ignored[asked.call.Action] {
		params.Take(name)
	}
	if asked.decoded, fault = asked.action.decode(params); fault != nil {
		return asked, unreadable(fault)
	}
	if dry, ok := asked.decoded.(interface{ dryRun() bool }); ok {
		asked.call.DryRun = dry.dryRun()
	}
	if left := params.Leaves(); strict && len(left) > 0 {
		return asked, refuse(unknown, left[0])
	}
	return asked, nil
}
