package aliyun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// TestNoAnswer: what is no answer of the cloud may have taken place, and is never an empty
// list.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]cloudsim.Fault{
		"HTML 502":  {Verb: cloudsim.HTML},
		"HTML 200":  {Verb: cloudsim.HTML, Status: http.StatusOK},
		"empty 200": {Verb: cloudsim.Empty},
		"empty 500": {Verb: cloudsim.Empty, Status: http.StatusInternalServerError},
		"empty 403": {Verb: cloudsim.Empty, Status: http.StatusForbidden},
		"reset":     {Verb: cloudsim.Reset},
		"server":    {Verb: cloudsim.ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				p := provided(w)
				f := f
				f.API, f.Count = "*", -1
				w.Inject(f)
				for action, call := range everyCall(p.cloud) {
					if err := call(t.Context()); !errors.Is(err, provider.ErrUnknown) {
						t.Errorf("%s: %v; want unknown", action, err)
					}
				}
			})
		})
	}
}

// TestHalfAnAnswer: half of a listing is none.
func TestHalfAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Created(enitest.ID(1))
		w.Inject(cloudsim.Fault{Verb: cloudsim.Half, Count: -1, API: "*"})
		for verb, call := range map[string]func() error{
			"list":      func() error { _, err := w.List(t.Context()); return err },
			"get":       func() error { _, err := w.Get(t.Context(), enitest.ID(1)); return err },
			"limits":    func() error { _, err := w.Limits(t.Context(), w.VMs[0]); return err },
			"published": func() error { _, err := w.Published(t.Context()); return err },
		} {
			if err := call(); !errors.Is(err, provider.ErrUnknown) {
				t.Errorf("%s: %v; want unknown", verb, err)
			}
		}
	})
}

// TestAnswerWithoutInterface: that says that none was made, and is asked again.
func TestAnswerWithoutInterface(t *testing.T) {
	t.Parallel()
	for often, want := range map[int]error{attempts - 1: nil, attempts: provider.ErrBusy} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, cloudsim.Options{})
			left, h := often, handler(w)
			p := with(w, enitest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("Action") != apiCreateInterface || left == 0 {
					h.ServeHTTP(rw, r)
					return
				}
				left--
				fmt.Fprint(rw, `{"RequestId":"3C9B"}`)
			})), func(*Options) {})
			if _, err := p.Create(t.Context(), w.Spec(enitest.ID(1))); !errors.Is(err, want) {
				t.Errorf("after %d answers without: %v; want %v", often, err, want)
			}
			if n := len(w.Ours()); n != attempts-often {
				t.Errorf("%d interfaces after %d answers without", n, often)
			}
		})
	}
}

// TestClockSkew: a request of another time is refused, and what is wrong is told.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(time.Hour)})
		if _, err := w.List(t.Context()); !errors.Is(err, provider.ErrDenied) || !strings.Contains(err.Error(), "clock") {
			t.Errorf("%v; want denied, and why", err)
		}
	})
}

// TestOptions: what is missing is told at the start, and HTTPS is what goes without saying.
func TestOptions(t *testing.T) {
	t.Parallel()
	good := Options{Name: "cloud", Cluster: "cl-1", Region: "cn-hangzhou", Keys: keys()}
	for name, change := range map[string]func(*Options){
		"name":     func(o *Options) { o.Name = "" },
		"cluster":  func(o *Options) { o.Cluster = "" },
		"region":   func(o *Options) { o.Region = "" },
		"sign":     func(o *Options) { o.Keys = nil },
		"endpoint": func(o *Options) { o.Endpoint = "ftp://x" },
		"no URL":   func(o *Options) { o.VPCEndpoint = "vpc.aliyuncs.com" },
	} {
		o := good
		change(&o)
		if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := New(t.Context(), good)
	if err != nil || p.Region() != "cn-hangzhou" {
		t.Fatal(err)
	}
	asked := map[string]string{}
	good.Transport = transport(func(r *http.Request) { asked[r.URL.Query().Get("Action")] = r.URL.Scheme + "://" + r.URL.Host })
	good.backoff = 1
	if p, err = New(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	_, _ = p.List(t.Context())
	_, _ = p.Published(t.Context())
	for action, host := range map[string]string{apiDescribeInterfaces: "ecs.cn-hangzhou.aliyuncs.com", apiDescribeAddresses: "vpc.cn-hangzhou.aliyuncs.com"} {
		if asked[action] != "https://"+host {
			t.Errorf("%s goes to %s; want %s by HTTPS", action, asked[action], host)
		}
	}
}

// A transport sees requests and answers none.
type transport func(*http.Request)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t(r)
	return nil, errors.New("no answer")
}

// TestTwoEndpoints: VPC may be elsewhere than ECS.
func TestTwoEndpoints(t *testing.T) {
	t.Parallel()
	asked := map[string]string{}
	p, err := New(t.Context(), Options{
		Name: "cloud", Cluster: "cl-1", Region: "cn-hangzhou", Keys: keys(), Endpoint: "http://ecs.test", VPCEndpoint: "https://vpc.test", backoff: 1,
		Transport: transport(func(r *http.Request) { asked[r.URL.Query().Get("Action")] = r.URL.Scheme + "://" + r.URL.Host }),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range everyCall(p.cloud) {
		_ = call(t.Context())
	}
	for action := range everyCall(p.cloud) {
		if want := map[bool]string{false: "http://ecs.test", true: "https://vpc.test"}[ofVPC(action)]; asked[action] != want {
			t.Errorf("%s goes to %q; want %s", action, asked[action], want)
		}
	}
}

// TestSecretsAreStruckOut: a cloud, or a proxy, that tells all that it was sent gets none
// of it into an error or the log.
func TestSecretsAreStruckOut(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"refused": http.StatusForbidden, "failed": http.StatusInternalServerError, "for success": http.StatusOK} {
		for _, shape := range []string{`{"RequestId":"r","Code":"SignatureDoesNotMatch","Message":%q}`, `{"RequestId":%q,"Code":"X","Message":"y"}`, "<html>%s</html>", "%s"} {
			t.Run(name+" "+shape, func(t *testing.T) {
				t.Parallel()
				var sent string
				server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					sent = r.URL.Query().Get("Signature")
					rw.WriteHeader(status)
					fmt.Fprintf(rw, shape, "you sent "+r.URL.String()+" with "+testSecret+" "+testToken+" server string to sign is:POST&%2F&AccessKeyId%3D"+testKey)
				}))
				defer server.Close()
				var log strings.Builder
				client := &http.Transport{}
				defer client.CloseIdleConnections()
				p, err := New(t.Context(), Options{
					Name: "cloud", Cluster: "cl-1", Region: "cn-hangzhou", Keys: keys(), Endpoint: server.URL, Transport: client, backoff: 20 * time.Millisecond,
					Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				if err != nil {
					t.Fatal(err)
				}
				for action, call := range everyCall(p.cloud) {
					err := call(t.Context())
					if err == nil && status != http.StatusOK {
						t.Errorf("%s: no error", action)
					}
					for _, secret := range []string{testKey, testSecret, testToken, url.QueryEscape(testToken), sent, url.QueryEscape(sent)} {
						if all := fmt.Sprint(err, log.String()); strings.Contains(all, secret) {
							t.Errorf("%s: %q is in %s", action, secret, all)
						}
					}
				}
			})
		}
	}
}

// TestSecretsOfTheNetwork: an error of the network has the URL in it as it was signed, and
// an endpoint may have a password.
func TestSecretsOfTheNetwork(t *testing.T) {
	t.Parallel()
	p, err := New(t.Context(), Options{Name: "cloud", Cluster: "cl-1", Region: "cn-hangzhou", Keys: keys(), Endpoint: "http://user:hunter2@127.0.0.1:1", backoff: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.List(t.Context())
	for _, secret := range []string{"hunter2", "Signature", testKey} {
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v; want an error without %q", err, secret)
		}
	}
}

// TestKeysThatAreNone: a role that cannot be asked for is an error, and nothing is sent.
func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		none := func(context.Context) (acs.Key, error) {
			return acs.Key{}, errors.New("the metadata service does not answer")
		}
		p := with(w, enitest.Serve(t, handler(w)), func(o *Options) { o.Keys = none })
		if _, err := p.List(t.Context()); err == nil || !strings.Contains(err.Error(), "credentials: the metadata service") {
			t.Errorf("%v; want why there are no keys", err)
		}
		if n := w.Cloud.Counts()[apiDescribeInterfaces].Calls; n > 0 {
			t.Errorf("%d calls without keys", n)
		}
	})
}

// TestListIsNeverShort: whatever breaks on a further page, there is an error.
func TestListIsNeverShort(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]cloudsim.Fault{
		"throttled": {Verb: cloudsim.Throttle},
		"denied":    {Verb: cloudsim.Fail, Code: "Forbidden.RAM"},
		"expired":   {Verb: cloudsim.Fail, Code: "InvalidParameter"},
		"nothing":   {Verb: cloudsim.Empty, Count: attempts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				s, err := w.Cloud.AddSubnet(cloudsim.Subnet{VPC: w.VPC, Zone: w.Zones[0], CIDR: netip.MustParsePrefix("10.80.16.0/20")})
				w.Must(err)
				tags := cloudsim.Tags{eni.TagCluster: "cl-1", eni.TagNIC: string(enitest.ID(7))}
				_, err = w.Cloud.Plant(cloudsim.Foreign{Subnet: s.ID, Count: maxPage + 1, Tags: tags})
				w.Must(err)
				f := f
				f.API, f.Nth = apiDescribeInterfaces, 2
				w.Inject(f)
				if all, err := w.List(t.Context()); err == nil {
					t.Errorf("%d NICs, and no error", len(all))
				}
			})
		})
	}
}

// TestPages: of what is read page by page nothing is missed without a word.
func TestPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{pace: calls.NewPace("ECS", rateOf, 1000)}
		for name, tt := range map[string]struct {
			tokens []string
			fails  bool
		}{
			"one": {[]string{""}, false}, "three": {[]string{"a", "b", ""}, false}, "twice": {[]string{"a", "b", "a", ""}, true},
		} {
			n := 0
			err := c.pace.Pages(t.Context(), "X", func(string) (string, error) { n++; return tt.tokens[n-1], nil })
			if (err != nil) != tt.fails {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, tt := range map[string]struct {
			pages [][2]int
			fails bool
		}{
			"none": {[][2]int{{0, 0}}, false}, "one": {[][2]int{{7, 7}}, false}, "two": {[][2]int{{50, 57}, {7, 57}}, false},
			"one came": {[][2]int{{50, 57}, {8, 58}}, true}, "one missing": {[][2]int{{50, 57}, {6, 57}, {0, 57}}, true},
		} {
			err := c.numbered(t.Context(), "X", func(n int) (int, int, error) { return tt.pages[n-1][0], tt.pages[n-1][1], nil })
			if (err != nil) != tt.fails {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
