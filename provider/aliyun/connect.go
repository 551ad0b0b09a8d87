package aliyun

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/nicferry/nicferry/provider/aliyun/acs"
)

// Of each call attempts attempts are made, of attemptTime at most, with up to maxBackoff
// between them: less than worstCall in all.
const (
	attempts    = 3
	attemptTime = 8 * time.Second
	maxBackoff  = time.Second
	// idleConns are kept for further calls: as many as are out at a time in a crowd of
	// starts, which shall not each shake hands anew.
	idleConns = 64
)

// What New wants, and has no default for.
var (
	ErrNoRegion = errors.New("no region is set: say it in the provider's aliyun section")
	ErrNoKeys   = errors.New("there is nothing to sign calls with")
)

// connect makes those who call ECS and VPC, without a call.
func connect(o Options) (ecs, vpc *acs.Caller, err error) {
	switch {
	case o.Region == "":
		return nil, nil, ErrNoRegion
	case o.Keys == nil:
		return nil, nil, ErrNoKeys
	}
	to := acs.Options{Region: o.Region, Endpoint: o.Endpoint, Keys: o.Keys, Transport: o.Transport, Timeout: attemptTime}
	if to.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert,errcheck // the library's own
		t.MaxIdleConnsPerHost = idleConns
		to.Transport = t
	}
	if ecs, err = acs.New(to); err != nil {
		return nil, nil, err
	}
	to.Endpoint = cmp.Or(o.VPCEndpoint, o.Endpoint)
	vpc, err = acs.New(to)
	return ecs, vpc, err
}
