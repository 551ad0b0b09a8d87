package aws

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
)

func page(token string, items ...string) answer {
	body := "<networkInterfaceSet>"
	for _, i := range items {
		body += "<item>" + i + "</item>"
	}
	body += "</networkInterfaceSet>"
	if token != "" {
		body += "<nextToken>" + token + "</nextToken>"
	}
	return answer{body: body}
}

// numbered is shown for another NIC.
func numbered(n int) string {
	id := fmt.Sprintf("nic-%016x", n)
	return strings.ReplaceAll(strings.ReplaceAll(shown("available", ""), string(testNIC), id), testENI, fmt.Sprintf("eni-%017x", n))
}

// pages has a listing of these pages, whose tokens are their numbers.
func (s *script) pages(all ...answer) {
	s.do(apiDescribeInterfaces, func(v url.Values) answer {
		n := 0
		if token := v.Get("NextToken"); token != "" {
			if _, err := fmt.Sscanf(token, "p%d", &n); err != nil {
				s.t.Errorf("token %q", token)
			}
		}
		return all[n]
	})
}

func TestListReadsAllPages(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.pages(page("p1", numbered(2)), page("p2"), page("p3", numbered(1)), page(""))
	got, err := p.List(t.Context())
	if err != nil || len(got) != 2 || got[0].NIC != "nic-0000000000000001" || got[1].ProviderID != "eni-00000000000000002" {
		t.Errorf("%+v, %v; want both, also behind an empty page", got, err)
	}
	for _, call := range s.made(apiDescribeInterfaces) {
		if call.Get("MaxResults") != "1000" || call.Get("Filter.1.Name") != "tag:"+eni.TagCluster || call.Get("Filter.1.Value.1") != "cl-1" {
			t.Errorf("asked by %v; want pages, and the cluster's tag", call)
		}
	}
}

// TestListIsNeverShort: whatever breaks on the way, there is an error.
func TestListIsNeverShort(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]answer{
		"token twice": page("p1", numbered(2)),
		"denied":      refusal(http.StatusForbidden, "UnauthorizedOperation", "no"),
		"expired":     refusal(http.StatusBadRequest, "InvalidNextToken", "no"),
		"throttled":   refusal(http.StatusServiceUnavailable, "RequestLimitExceeded", "no"),
		"nothing":     {status: http.StatusOK, raw: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := scripted(t)
			s.pages(page("p1", numbered(1)), second)
			if got, err := p.List(t.Context()); err == nil {
				t.Errorf("%+v; want an error", got)
			}
			if got, err := p.Get(t.Context(), "nic-0000000000000001"); err == nil {
				t.Errorf("Get: %+v; want an error", got)
			}
		})
	}
}

// TestF19_NeverIDsAndPages: EC2 refuses ids together with MaxResults, and fails a
// call by ids for one that is missing. Nothing is described by ids.
func TestF19_NeverIDsAndPages(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.shows("in-use", "attached")
	for _, verb := range []string{"get", "list", "limits", "place", "attach", "detach", "create"} {
		if err := do(t, p, verb); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if _, err := p.Published(t.Context()); err != nil {
		t.Error(err)
	}
	described := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls {
		if !strings.HasPrefix(call.Get("Action"), "Describe") {
			continue
		}
		described++
		if call.Get("Filter.1.Name") == "" {
			t.Errorf("%v has no filter", call)
		}
		for key := range call {
			if strings.Contains(key, "Id.") || strings.HasPrefix(key, "InstanceType.") {
				t.Errorf("%s asks by %s", call.Get("Action"), key)
			}
		}
	}
	if described < 4 {
		t.Errorf("%d describes", described)
	}
}

// TestGetSplits: as many NICs as there are take as many calls as filters need.
func TestGetSplits(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.do(apiDescribeInterfaces, func(v url.Values) answer {
		var items []string
		for i := 1; ; i++ {
			value := v.Get(fmt.Sprintf("Filter.1.Value.%d", i))
			if value == "" {
				return page("", items...)
			}
			n := 0
			if _, err := fmt.Sscanf(value, "nic-%x", &n); err != nil {
				t.Error(err)
			}
			items = append(items, numbered(n))
		}
	})
	var ids []nic.ID
	for i := range 450 {
		ids = append(ids, nic.ID(fmt.Sprintf("nic-%016x", i)))
	}
	got, err := p.Get(t.Context(), append(ids, "nic-*", "", "*")...)
	if err != nil || len(got) != 450 {
		t.Errorf("%d NICs, %v", len(got), err)
	}
	calls := s.made(apiDescribeInterfaces)
	for _, call := range calls {
		if call.Get("Filter.1.Value.201") != "" {
			t.Error("a call asks for more than 200")
		}
	}
	if len(calls) < 3 || len(calls) > 6 { // 3, unless the client sends one again
		t.Errorf("%d calls; want 3 of 200 at most", len(calls))
	}
}

// TestLooksGoTogether: what many ask at once is one call, or two.
func TestLooksGoTogether(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.shows("available", "")
	const callers = 100
	errs := make(chan error, callers)
	for range callers {
		go func() { _, err := p.Limits(t.Context(), testInstance); errs <- err }()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(s.made(apiDescribeInstances)); n > callers/5 {
		t.Errorf("%d calls for %d questions", n, callers)
	}
}

// TestForeignInterfacesAreLeftAlone: what has our tag of a cluster and none of a
// NIC is nobody's that we know.
func TestForeignInterfacesAreLeftAlone(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.pages(page("", strings.ReplaceAll(shown("available", ""), string(testNIC), "*"), numbered(7)))
	got, err := p.List(t.Context())
	if err != nil || len(got) != 1 || got[0].NIC != "nic-0000000000000007" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestStates reads what EC2 says of an interface.
func TestStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status, attachment string
		want               nic.State
	}{
		{"pending", "", nic.StateCreating},
		{"available", "", nic.StateAvailable},
		{"in-use", "", nic.StateAvailable}, // the attachment has gone
		{"associated", "", nic.StateAvailable},
		{"in-use", "attaching", nic.StateAttaching},
		{"attaching", "attaching", nic.StateAttaching},
		{"in-use", "attached", nic.StateAttached},
		{"available", "attached", nic.StateAttached}, // the attachment decides
		{"in-use", "detaching", nic.StateDetaching},
		{"detaching", "detaching", nic.StateDetaching},
		{"in-use", "detached", nic.StateAvailable},
	} {
		t.Run(c.status+"/"+c.attachment, func(t *testing.T) {
			t.Parallel()
			p, s := scripted(t)
			s.shows(c.status, c.attachment)
			got, err := p.Get(t.Context(), testNIC)
			if err != nil {
				t.Fatal(err)
			}
			seen := got[testNIC]
			plugged := c.attachment != "" && c.attachment != "detached"
			if seen.State != c.want || (seen.Place == testPlace()) != plugged {
				t.Errorf("%+v; want %s", seen, c.want)
			}
			if seen.MAC.String() != "0a:00:00:00:00:01" || len(seen.Addrs) != 2 || seen.Addrs[0] != addr("10.0.0.8") {
				t.Errorf("%+v; want MAC and addresses, the primary one first", seen)
			}
			if len(seen.Subnets) != 1 || seen.Subnets[0].Prefix.String() != "10.0.0.0/24" || seen.Subnets[0].Gateway != addr("10.0.0.1") {
				t.Errorf("subnets %+v", seen.Subnets)
			}
			if known := reflect.DeepEqual(seen.Device, nic.Device{Kind: nic.Found, MAC: seen.MAC, MTU: 9001}); known != (c.want == nic.StateAttached || c.want == nic.StateDetaching) {
				t.Errorf("recipe %+v of %s", seen.Device, c.want)
			}
		})
	}
}

// TestTwinsAreOneNIC: two interfaces with one tag are one NIC, and both go with it.
func TestTwinsAreOneNIC(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	twin := strings.ReplaceAll(shown("available", ""), testENI, "eni-00000000000000001")
	s.pages(page("", twin, shown("in-use", "attached")))
	got, err := p.Get(t.Context(), testNIC)
	if err != nil || got[testNIC].ProviderID != testENI {
		t.Errorf("%+v, %v; want the one that is plugged in", got, err)
	}
	if err := p.Delete(t.Context(), testNIC); !errors.Is(err, provider.ErrBusy) {
		t.Errorf("%v; want busy", err)
	}
	s.pages(page("", twin, shown("available", "")))
	if err := p.Delete(t.Context(), testNIC); err != nil {
		t.Error(err)
	}
	if n := len(s.made(apiDeleteInterface)); n != 2 {
		t.Errorf("%d deletes; want both", n)
	}
	if err := p.Delete(t.Context(), testNIC); !errors.Is(err, provider.ErrNotFound) {
		t.Errorf("%v; want not found", err)
	}
}
