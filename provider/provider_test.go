package provider_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain has no optional interface; placing has one.
type plain struct{ provider.Provider }

type placing struct {
	provider.Provider
	node string
}

func (p placing) Place(_ context.Context, spec nic.Spec, _ nic.Node) (nic.Spec, error) {
	spec.Node = p.node
	return spec, nil
}

// decorator hides what it is around; decorator and placing show both.
type decorator struct{ provider.Provider }

func (d decorator) Unwrap() provider.Provider { return d.Provider }

type placingDecorator struct {
	placing
}

func (d placingDecorator) Unwrap() provider.Provider { return d.Provider }

func TestAsFindsThroughDecorators(t *testing.T) {
	inner := placing{node: "inner"}
	for name, c := range map[string]struct {
		p    provider.Provider
		want string // "" for none
	}{
		"nothing":              {nil, ""},
		"plain":                {plain{}, ""},
		"itself":               {inner, "inner"},
		"one decorator":        {decorator{inner}, "inner"},
		"three decorators":     {decorator{decorator{decorator{inner}}}, "inner"},
		"the outermost wins":   {placingDecorator{placing{inner, "outer"}}, "outer"},
		"outermost, decorated": {decorator{placingDecorator{placing{inner, "outer"}}}, "outer"},
		"decorated plain":      {decorator{plain{}}, ""},
		"around nothing":       {decorator{}, ""},
		"embedding is no door": {plain{inner}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			placer, ok := provider.As[provider.Placer](c.p)
			if ok != (c.want != "") {
				t.Fatalf("found: %t; want %q", ok, c.want)
			}
			if !ok {
				return
			}
			if got, err := placer.Place(t.Context(), nic.Spec{}, nic.Node{}); err != nil || got.Node != c.want {
				t.Errorf("found the Placer of %q (%v); want %q", got.Node, err, c.want)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("4 of 4 slots in use")
	for want, e := range map[string]*provider.Error{
		"local: attach nic-1: exhausted: 4 of 4 slots in use":        {Provider: "local", Op: "attach", ID: "nic-1", Kind: provider.ErrExhausted, Err: cause},
		"aws: list: throttled (request r-7)":                         {Provider: "aws", Op: "list", Kind: provider.ErrThrottled, RequestID: "r-7"},
		"aws: delete nic-2: busy: 4 of 4 slots in use (request r-8)": {Provider: "aws", Op: "delete", ID: "nic-2", Kind: provider.ErrBusy, Err: cause, RequestID: "r-8"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestErrorIsItsKindAndItsCause(t *testing.T) {
	kinds := []error{
		provider.ErrNotFound, provider.ErrExhausted, provider.ErrThrottled, provider.ErrBusy, provider.ErrElsewhere,
		provider.ErrDenied, provider.ErrInvalid, provider.ErrUnsupported, provider.ErrUnknown,
	}
	for _, kind := range kinds {
		var err error = &provider.Error{Kind: kind, Scope: provider.ScopeNode, Err: context.Canceled}
		err = fmt.Errorf("plug in: %w", err)
		for _, other := range kinds {
			if errors.Is(err, other) != (kind == other) {
				t.Errorf("an error of kind %q is %q: %t", kind, other, kind != other)
			}
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%q hides its cause", kind)
		}
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Scope != provider.ScopeNode {
			t.Errorf("%q hides its scope", kind)
		}
	}
}
