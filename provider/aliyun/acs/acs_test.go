package acs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
)

const (
	testAccess = "LTAI-test-access"
	testSecret = "test-secret/+="
	testToken  = "sts-token-of-the-test"
)

// A world is a cloud in memory behind a server, and a caller.
type world struct {
	*testing.T
	*Caller
	cloud  *cloudsim.Cloud
	server *httptest.Server
	vsw    string
	// instead answers in place of the cloud, where it is set.
	instead http.HandlerFunc
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, cloud: cloudsim.New(ecs.Shape(cloudsim.Options{}))}
	t.Cleanup(w.cloud.Close)
	vpc, err := w.cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	w.must(err)
	s, err := w.cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "cn-hangzhou-a", CIDR: netip.MustParsePrefix("10.0.1.0/24")})
	w.must(err)
	w.vsw = s.ID
	face := ecs.New(ecs.Options{Cloud: w.cloud, Keys: func(access string) (ecs.Key, bool) {
		return ecs.Key{Secret: testSecret, Token: testToken}, access == testAccess
	}})
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.instead != nil {
			w.instead(rw, r)
			return
		}
		face.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.Caller = w.caller(w.server.URL)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) caller(endpoint string) *Caller {
	w.Helper()
	transport := &http.Transport{}
	w.Cleanup(transport.CloseIdleConnections)
	c, err := New(Options{
		Region: "cn-hangzhou", Endpoint: endpoint, Transport: transport, Timeout: 30 * time.Second,
		Keys: func(context.Context) (Key, error) { return Key{testAccess, testSecret, testToken}, nil },
	})
	w.must(err)
	return c
}

// describe lists all interfaces.
func (w *world) describe(ctx context.Context, c *Caller) (*sdk.DescribeNetworkInterfacesResponse, error) {
	got := sdk.CreateDescribeNetworkInterfacesResponse()
	return got, c.Do(ctx, sdk.CreateDescribeNetworkInterfacesRequest(), got)
}

// Eight at a time make and list interfaces: with the race detector this shows that no
// two calls share what the SDK changes.
func TestManyAtATime(t *testing.T) {
	w := open(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 5 {
				r := sdk.CreateCreateNetworkInterfaceRequest()
				r.VSwitchId, r.ClientToken = w.vsw, fmt.Sprintf("%d-%d", n, i)
				groups := []string{w.group()}
				r.SecurityGroupIds = &groups
				r.Description = "a b*~+/ü%20&="
				made := sdk.CreateCreateNetworkInterfaceResponse()
				if err := w.Do(w.Context(), r, made); err != nil || made.NetworkInterfaceId == "" || made.Description != r.Description {
					t.Errorf("made %+v: %v", made, err)
				}
				if _, err := w.describe(w.Context(), w.Caller); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := w.describe(w.Context(), w.Caller); err != nil || got.TotalCount != 40 {
		t.Errorf("%d interfaces, %v", got.TotalCount, err)
	}
}

func (w *world) group() string {
	page, err := w.cloud.DescribeSecurityGroups(w.Context(), cloudsim.Call{}, cloudsim.Describe{})
	if err != nil {
		w.Error(err)
	}
	return page.Items[0].ID
}

// A call ends with its context, and says that and nothing else.
func TestContext(t *testing.T) {
	w := open(t)
	asked := make(chan struct{})
	w.instead = func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := w.describe(ctx, w.Caller); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Whatever comes for an answer is told as it is: there is no panic, and nothing passes
// for success that is none.
func TestAnswers(t *testing.T) {
	w := open(t)
	tests := []struct {
		name   string
		status int
		body   string
		code   string // of a refusal
		says   string
	}{
		{"refused", 403, `{"RequestId":"r","Code":"Forbidden.RAM","Message":"no"}`, "Forbidden.RAM", "no"},
		{"throttled", 400, `{"RequestId":"r","Code":"Throttling.User","Message":"slow"}`, "Throttling.User", "slow"},
		{"a number for a code", 400, `{"RequestId":"r","Code":17,"Message":"m"}`, "17", "m"},
		{"details that are none", 403, `{"RequestId":"r","Code":"NoPermission","Message":"m","AccessDeniedDetail":"x"}`, "NoPermission", "m"},
		{"no code", 500, `{"RequestId":"r"}`, "", ""},
		{"a page", 502, `<html><body>Bad Gateway</body></html>`, "", "HTTP 502 with a web page"},
		{"a page for success", 200, `<html></html>`, "", "HTTP 200 with a web page"},
		{"nothing", 200, ``, "", "HTTP 200 with nothing"},
		{"another's JSON", 200, `{"error":"x"}`, "", "HTTP 200 with something else"},
		{"half", 200, `{"RequestId":"r","NetworkInterfaceSets":{"Net`, "", "HTTP 200 with something else"},
		{"another shape", 200, `{"RequestId":"r","NetworkInterfaceSets":[7]}`, "", "Unmarshal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.instead = func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(tt.status)
				_, _ = rw.Write([]byte(tt.body))
			}
			_, err := w.describe(t.Context(), w.Caller)
			refused, ok := errors.AsType[*Refusal](err)
			if err == nil || !strings.Contains(err.Error(), tt.says) || ok != (tt.code != "" || tt.name == "no code") {
				t.Fatalf("got %v", err)
			}
			if ok && (refused.Code != tt.code || refused.Status != tt.status || refused.RequestID != "r") {
				t.Errorf("refused as %+v", refused)
			}
		})
	}
}

// Nothing of a key or a signature is in an error, whoever says it.
func TestErrorsHoldNoSecrets(t *testing.T) {
	w := open(t)
	var query string
	w.instead = func(rw http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"RequestId":"r","Code":"SignatureDoesNotMatch","Message":%q}`, "you said ?"+query+" server string to sign is:POST&%2F&AccessKeyId%3DLTAI")
	}
	_, refused := w.describe(t.Context(), w.Caller)
	w.server.CloseClientConnections()
	w.instead = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	_, broken := w.describe(t.Context(), w.Caller)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.must(ln.Close())
	_, nobody := w.describe(t.Context(), w.caller("http://"+ln.Addr().String()))
	for name, err := range map[string]error{"refused": refused, "broken off": broken, "nobody there": nobody} {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, word := range []string{testAccess, testSecret, testToken, "LTAI", "Signature=", "SecurityToken=", "&Timestamp"} {
			if name == "refused" && word == "&Timestamp" {
				continue
			}
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q is in %q", name, word, err)
			}
		}
	}
}

func TestNewTellsWhatIsWrong(t *testing.T) {
	for text, o := range map[string]Options{
		"no region":  {},
		"is no URL":  {Region: "r", Endpoint: "127.0.0.1:80"},
		"is no URL ": {Region: "r", Endpoint: "ftp://host"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("%+v: %v, want %q", o, err, text)
		}
	}
	if c, err := New(Options{Region: "r"}); err != nil || c.scheme != "HTTPS" {
		t.Errorf("without an endpoint: %+v, %v", c, err)
	}
}
