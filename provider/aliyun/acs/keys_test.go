package acs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/pipenet"
)

// A user's key and a temporary one of three values are signed with, by the vendor's own
// code; a token that is another's is refused.
func TestFixedKeys(t *testing.T) {
	w := open(t)
	list := func(keys Keys) error {
		c, err := New(Options{Region: "cn-hangzhou", Endpoint: w.server.URL, Timeout: 30 * time.Second, Transport: w.Caller.opts.Transport, Keys: keys})
		w.must(err)
		_, err = w.describe(t.Context(), c)
		return err
	}
	if err := list(Fixed(Key{testAccess, testSecret, testToken})); err != nil {
		t.Errorf("temporary: %v", err)
	}
	for name, tt := range map[string]struct {
		key  Key
		code string
	}{
		"without its token": {Key{testAccess, testSecret, ""}, "InvalidSecurityToken.Malformed"},
		"another's token":   {Key{testAccess, testSecret, "other-token"}, "InvalidSecurityToken.Malformed"},
		"another's secret":  {Key{testAccess, "other-secret", testToken}, "SignatureDoesNotMatch"},
		"nobody's":          {Key{"LTAI-other", testSecret, testToken}, "InvalidAccessKeyId.NotFound"},
	} {
		err := list(Fixed(tt.key))
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
		holdsNoKey(t, name, fmt.Sprint(err), tt.key)
	}
	if err := list(Fixed(Key{Access: testAccess})); err == nil || !strings.Contains(err.Error(), "both an id and a secret") {
		t.Errorf("without a secret: %v", err)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
	if err := list(Environment); err == nil || !strings.Contains(err.Error(), ErrNoKeys.Error()) {
		t.Errorf("without variables: %v", err)
	}
	if err := list(First(Environment, Fixed(Key{testAccess, testSecret, testToken}))); err != nil {
		t.Errorf("where the environment has none: %v", err)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", testAccess)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "")
	if err := list(First(Environment, Fixed(Key{testAccess, testSecret, testToken}))); err == nil || !strings.Contains(err.Error(), "ALIBABA_CLOUD_ACCESS_KEY_SECRET") {
		t.Errorf("half a key in the environment is passed over: %v", err)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", testSecret)
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", testToken)
	if err := list(Environment); err != nil {
		t.Errorf("from the environment: %v", err)
	}
}

func holdsNoKey(t *testing.T, what, text string, k Key) {
	t.Helper()
	for _, word := range []string{k.Access, k.Secret, k.Token} {
		if word != "" && strings.Contains(text, word) {
			t.Errorf("%s: a secret is in %q", what, text)
		}
	}
}

// An instance is one that has a role, in a cloud in a bubble of time.
type instance struct {
	*testing.T
	service *imds.Service
	caller  *Caller
	log     bytes.Buffer

	mu   sync.Mutex
	used map[string]Key // what was signed with
}

// serve answers within the bubble, and returns what dials it.
func (i *instance) serve(h http.Handler) *pipenet.Listener {
	ln := pipenet.Listen()
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	i.Cleanup(func() { _ = srv.Close(); <-done })
	return ln
}

// newInstance is one whose role may do what the statements say.
func newInstance(t *testing.T, statements string) *instance {
	t.Helper()
	i := &instance{T: t, used: map[string]Key{}}
	account := &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456", Assumed: func(access string) (iam.Session, bool) {
		k, ok := i.service.Key(access)
		return iam.Session{Role: k.Role, Name: k.Instance}, ok
	}}
	p, err := iam.RAM().Parse([]byte(`{"Version":"1","Statement":[` + statements + `]}`))
	i.must(err)
	account.AttachRole("controller", p)
	cloud := cloudsim.New(ecs.Shape(cloudsim.Options{Policy: account}))
	t.Cleanup(cloud.Close)
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	i.must(err)
	s, err := cloud.AddSubnet(cloudsim.Subnet{VPC: vpc.ID, Zone: "cn-hangzhou-a", CIDR: netip.MustParsePrefix("10.0.1.0/24")})
	i.must(err)
	made, err := cloud.AddInstances(cloudsim.RunInstances{Type: "ecs.g6.large", Subnet: s.ID})
	i.must(err)
	i.service = imds.New(imds.Options{Source: cloud, Dialect: imds.ECS(), Role: func(string) string { return "controller" }, KeysLast: time.Hour})
	face := ecs.New(ecs.Options{Cloud: cloud, Keys: func(access string) (ecs.Key, bool) {
		k, ok := i.service.Key(access)
		return ecs.Key{Secret: k.Secret, Token: k.Session, Expires: k.Expires}, ok
	}})
	log := slog.New(slog.NewTextHandler(&i.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m, err := metadata.New(metadata.Options{Dialect: metadata.ECS(), Log: log, Dial: i.serve(i.service.Handler(made[0].ID)).Dial})
	i.must(err)
	t.Cleanup(m.Close)
	transport := &http.Transport{DialContext: i.serve(face).Dial}
	t.Cleanup(transport.CloseIdleConnections)
	i.caller, err = New(Options{
		Region: "cn-hangzhou", Endpoint: "http://ecs.test", Transport: transport, Timeout: 30 * time.Second,
		Keys: func(ctx context.Context) (Key, error) {
			k, err := m.Keys(ctx)
			i.mu.Lock()
			defer i.mu.Unlock()
			i.used[k.Access] = Key{k.Access, k.Secret, k.Token}
			return i.used[k.Access], err
		},
	})
	i.must(err)
	return i
}

func (i *instance) must(err error) {
	i.Helper()
	if err != nil {
		i.Fatal(err)
	}
}

func (i *instance) list() error {
	return i.caller.Do(i.Context(), sdk.CreateDescribeNetworkInterfacesRequest(), sdk.CreateDescribeNetworkInterfacesResponse())
}

// S16: a role's keys are taken from the instance's metadata, with tokens alone, are
// others each hour, outlast a service that does not answer, and end. They are in no
// error and no line of a log.
func TestS16_ARolesKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, `{"Effect":"Allow","Action":"ecs:Describe*","Resource":"*"}`)
		var said []string
		for minute := range 6 * 60 {
			switch minute {
			case 180: // the last keys are 12 minutes old: for 40 minutes nobody answers
				i.must(i.service.Inject(imds.Fault{Verb: imds.Silent}))
			case 220:
				i.service.Clear()
			}
			if err := i.list(); err != nil {
				t.Errorf("minute %d: %v", minute, err)
			}
			time.Sleep(time.Minute)
		}
		if n := len(i.used); n < 6 || n > 8 {
			t.Errorf("in six hours %d keys were signed with, want one an hour", n)
		}
		for _, verb := range []cloudsim.Verb{imds.OldKeys, cloudsim.HTML, imds.Off, cloudsim.Reset} {
			i.must(i.service.Inject(imds.Fault{Verb: verb, Path: "/latest/meta-data/ram/"}))
			time.Sleep(2 * time.Hour)
			err := i.list()
			if err == nil || !strings.Contains(err.Error(), "credentials: ask for the keys of this instance's role") {
				t.Errorf("%s: %v", verb, err)
			}
			said = append(said, fmt.Sprintf("%v %+v", err, err))
			i.service.Clear()
			i.must(i.list())
		}
		made := sdk.CreateCreateNetworkInterfaceRequest()
		made.VSwitchId, made.SecurityGroupId = "vsw-1", "sg-1"
		err := i.caller.Do(t.Context(), made, sdk.CreateCreateNetworkInterfaceResponse())
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != "Forbidden.RAM" || r.Missing != "ecs:CreateNetworkInterface" || !strings.Contains(err.Error(), "(ecs:CreateNetworkInterface)") {
			t.Errorf("what the role may not: %v", err)
		}
		said = append(said, fmt.Sprint(err), i.log.String())
		for _, k := range i.used {
			holdsNoKey(t, "of the role", strings.Join(said, "\n"), k)
		}
	})
}

// The detail of a refusal may be anything.
func TestMissing(t *testing.T) {
	for detail, want := range map[string]string{
		"": "", "null": "", `"x"`: "", `[]`: "", `{}`: "", `{"AuthAction":7}`: "", `{"AuthAction":"vpc:AllocateEipAddress"}`: "vpc:AllocateEipAddress",
	} {
		if got := missing(json.RawMessage(detail)); got != want {
			t.Errorf("%s: %q, want %q", detail, got, want)
		}
	}
}
