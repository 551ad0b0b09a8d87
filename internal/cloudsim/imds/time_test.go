package imds_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/nic"
)

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, imds.Options{})
		c.renew("60")
		time.Sleep(60*time.Second - 1)
		c.want("/latest/meta-data/instance-id", 200, one)
		time.Sleep(time.Nanosecond)
		c.want("/latest/meta-data/instance-id", 401, "")
	})
}

func TestTheSameSeedMakesTheSameTokens(t *testing.T) {
	t.Parallel()
	a, b, other := newClient(t, imds.Options{Seed: 7}), newClient(t, imds.Options{Seed: 7}), newClient(t, imds.Options{Seed: 8})
	if a.token != b.token || a.token == other.token || len(a.token) < 40 {
		t.Errorf("tokens %q, %q and %q", a.token, b.token, other.token)
	}
	a.renew("60")
	if a.token == b.token {
		t.Error("two tokens are the same")
	}
}

// Of more tokens than are kept, those that end first are forgotten.
func TestTokensAreBounded(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{})
	c.renew("1000")
	first := c.token
	for range 4096 {
		c.renew("2000")
	}
	c.want("/latest/meta-data/instance-id", 200, one)
	c.token = first
	c.want("/latest/meta-data/instance-id", 401, "")
}

// keys is what the service gives out for a role.
type keys struct {
	Code, Type, AccessKeyID, SecretAccessKey, Token string
	LastUpdated, Expiration                         time.Time
}

func (c *client) keys() (k keys) {
	c.t.Helper()
	_, text := c.get("/latest/meta-data/iam/security-credentials/web-role")
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		c.t.Fatalf("%v in %q", err, text)
	}
	return k
}

func TestRoleCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		role := func(id string) string { return map[string]string{one: "web-role"}[id] }
		c := newClient(t, imds.Options{Role: role, KeysLast: time.Hour})
		c.want("/latest/meta-data/iam/security-credentials", 200, "web-role")
		c.want("/latest/meta-data/iam/security-credentials/", 200, "web-role")
		c.want("/latest/meta-data/iam/security-credentials/other", 404, "")
		if _, text := c.get("/latest/meta-data/iam/info"); !strings.Contains(text, "arn:aws:iam::111122223333:instance-profile/web-role") {
			t.Errorf("info: %s", text)
		}
		first := c.keys()
		begun := time.Now()
		if first.Code != "Success" || first.Type != "AWS-HMAC" || !strings.HasPrefix(first.AccessKeyID, "ASIA") || len(first.AccessKeyID) != 20 ||
			len(first.SecretAccessKey) != 40 || first.Token == "" || !first.LastUpdated.Equal(begun) || !first.Expiration.Equal(begun.Add(time.Hour)) {
			t.Errorf("%+v at %s", first, begun)
		}
		time.Sleep(55 * time.Minute)
		if again := c.keys(); again != first {
			t.Errorf("other keys already: %+v", again)
		}
		time.Sleep(time.Second) // the last five minutes have begun
		next := c.keys()
		if next.AccessKeyID == first.AccessKeyID || !next.Expiration.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("at %s: %+v", time.Now(), next)
		}
		for _, k := range []keys{first, next} {
			if known, ok := c.service.Key(k.AccessKeyID); !ok || known.Secret != k.SecretAccessKey || known.Session != k.Token || known.Instance != one || !known.Expires.Equal(k.Expiration) {
				t.Errorf("known of %s: %+v, %v", k.AccessKeyID, known, ok)
			}
		}
		if _, ok := c.service.Key("ASIAOTHER"); ok {
			t.Error("a key that nobody was given is known")
		}
		c.inject(imds.Fault{Verb: imds.OldKeys, Count: 1})
		if old := c.keys(); !old.Expiration.Before(time.Now()) {
			t.Errorf("old keys end at %s, now is %s", old.Expiration, time.Now())
		}
		if k := c.keys(); k != next {
			t.Errorf("after the fault: %+v", k)
		}
		c.instance = two
		c.renew("60")
		c.want("/latest/meta-data/iam/", 404, "")
	})
}

func TestIdentityDocument(t *testing.T) {
	t.Parallel()
	c := newClient(t, imds.Options{})
	_, text := c.get("/latest/dynamic/instance-identity/document")
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"accountId": "111122223333", "architecture": "x86_64", "availabilityZone": region + "a", "imageId": "ami-1", "instanceId": one, "instanceType": "c6in.32xlarge",
		"pendingTime": "2026-01-02T03:04:05Z", "privateIp": "10.0.1.16", "region": region, "version": "2017-09-30", "billingProducts": nil, "kernelId": nil, "ramdiskId": nil,
	} {
		if v, there := got[key]; !there || v != want {
			t.Errorf("%s is %v, want %v", key, v, want)
		}
	}
}

func TestThrottledByTheInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, imds.Options{Rate: 2, Burst: 3}) // the token took one
		c.want("/latest/meta-data/instance-id", 200, one)
		c.want("/latest/meta-data/instance-id", 200, one)
		c.want("/latest/meta-data/instance-id", 503, "")
		other := &client{t: t, service: c.service, instance: two, ttlHeader: ttlHeader, tokenHeader: tokenHeader}
		other.renew("60") // another instance's bucket is its own
		time.Sleep(500 * time.Millisecond)
		c.want("/latest/meta-data/instance-id", 200, one)
		c.want("/latest/meta-data/instance-id", 503, "")
		time.Sleep(time.Hour)
		for range 3 {
			c.want("/latest/meta-data/instance-id", 200, one)
		}
		c.want("/latest/meta-data/instance-id", 503, "")
	})
}

func (c *client) inject(faults ...imds.Fault) {
	c.t.Helper()
	if err := c.service.Inject(faults...); err != nil {
		c.t.Fatal(err)
	}
}

func TestFaultsThatAnswer(t *testing.T) {
	t.Parallel()
	for verb, want := range map[cloudsim.Verb]int{cloudsim.Throttle: 503, imds.Off: 403, cloudsim.HTML: 200, cloudsim.Empty: 200, imds.Forget: 401} {
		var seen []imds.Request
		c := newClient(t, imds.Options{Seen: func(r imds.Request) { seen = append(seen, r) }})
		c.inject(imds.Fault{Verb: verb, Instance: one, Path: "/latest/meta-data", Count: 2})
		c.want("/latest/dynamic/", 200, "instance-identity/")
		for range 2 {
			if code, text := c.get("/latest/meta-data/instance-id"); code != want || text == one {
				t.Errorf("%s: %d %q", verb, code, text)
			}
		}
		c.want("/latest/meta-data/instance-id", 200, one)
		var met []cloudsim.Verb
		for _, r := range seen {
			met = append(met, r.Fault)
		}
		if !slices.Equal(met, []cloudsim.Verb{"", "", verb, verb, ""}) || seen[2].Status != want || seen[2].Path != "/latest/meta-data/instance-id" || seen[2].Method != "GET" || seen[2].Instance != one {
			t.Errorf("%s: seen %+v", verb, seen)
		}
	}
}

func TestFaultsOfOneInstanceEndWithTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, imds.Options{})
		c.inject(imds.Fault{Verb: imds.Off, Instance: two}, imds.Fault{Verb: cloudsim.Throttle, Instance: one, For: nic.Duration(time.Minute)})
		c.want("/latest/meta-data/instance-id", 503, "")
		time.Sleep(time.Minute - 1)
		c.want("/latest/meta-data/instance-id", 503, "")
		time.Sleep(time.Nanosecond)
		c.want("/latest/meta-data/instance-id", 200, one)
		if n := c.service.Clear(); n != 1 {
			t.Errorf("%d faults cleared, want 1", n)
		}
		c.instance = two
		c.renew("60")
	})
}

// Reset answers nothing at once, Silent nothing until who asks gives up.
func TestFaultsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	for _, verb := range []cloudsim.Verb{cloudsim.Reset, imds.Silent} {
		synctest.Test(t, func(t *testing.T) {
			var seen []imds.Request
			c := newClient(t, imds.Options{Seen: func(r imds.Request) { seen = append(seen, r) }})
			c.inject(imds.Fault{Verb: verb})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/latest/meta-data/mac", nil)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			func() {
				defer func() {
					if e := recover(); e != http.ErrAbortHandler { //nolint:errorlint // it is that very value
						t.Errorf("%s ended with %v, not by breaking the connection", verb, e)
					}
				}()
				c.service.Handler(one).ServeHTTP(nil, r)
			}()
			if took, want := time.Since(begun), map[cloudsim.Verb]time.Duration{imds.Silent: time.Hour}[verb]; took != want {
				t.Errorf("%s: ended after %s, want %s", verb, took, want)
			}
			if last := seen[len(seen)-1]; last.Status != 0 || last.Fault != verb {
				t.Errorf("seen %+v", last)
			}
		})
	}
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	service := newClient(t, imds.Options{}).service
	err := service.Inject(imds.Fault{Verb: imds.Off}, imds.Fault{Verb: "stale", Path: "latest", Count: -1, For: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"fault 1", `"stale"`, `"latest"`, "count -1", "for -1ns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
	if n := service.Clear(); n != 0 {
		t.Errorf("%d faults were taken though one is wrong", n)
	}
}
