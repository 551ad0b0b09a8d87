package ec2

import (
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The recordings have placeholders where we want what they stand for.
var fillers = map[string]string{
	"PrivateIpAddress": "10.0.0.10", "Ipv4Prefix": "10.0.0.16/28",
	"Ipv6Address": "fd00::1", "Ipv6Addresses": "fd00::1", "Ipv6Prefix": "fd00::/80",
}

var indexed = regexp.MustCompile(`\.\d+$`)

// recorded is the one request that the SDK's authors recorded for an action, with
// each field filled.
func recorded(t *testing.T, dir, api string) url.Values {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "request_snapshot", api+".request.snap"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(text), "x-www-form-urlencoded\n\n")
	values, err := url.ParseQuery(strings.TrimSpace(body))
	if err != nil || !found {
		t.Fatalf("%v: %q", err, text)
	}
	for name := range values {
		if !strings.HasPrefix(values.Get(name), "__") {
			continue
		}
		plain := indexed.ReplaceAllString(name, "")
		if fill := fillers[plain[strings.LastIndexByte(plain, '.')+1:]]; fill != "" {
			values.Set(name, fill)
		}
	}
	return values
}

// unset are the fields that no parameter has set.
func unset(v reflect.Value, path string) []string {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return unset(v.Elem(), path)
		}
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, unset(v.Index(i), path+"[]")...)
		}
		if v.Len() != 2 { // as all lists in the recordings
			all = append(all, path)
		}
		return all
	case reflect.Struct:
		if v.CanAddr() && strings.HasPrefix(v.Type().PkgPath(), "net/") {
			break
		}
		var all []string
		for i := range v.NumField() {
			all = append(all, unset(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
		return all
	}
	if v.IsZero() {
		return []string{path}
	}
	return nil
}

// The SDK's module brings along one recorded request for each action. Each
// parameter of ours is understood, or named with the reason for which it is not
// heeded; and each field of our requests is set by one.
func TestRecordedRequests(t *testing.T) {
	t.Parallel()
	dir := sdk(t)
	face := New(Options{})
	for api, action := range face.actions {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			values := recorded(t, dir, api)
			asked, no := face.parse(values, true)
			if no != nil {
				t.Fatalf("refused: %s: %s", no.code, no.message)
			}
			if asked.call.DryRun == action.noDryRun {
				t.Errorf("DryRun is %v", asked.call.DryRun)
			}
			if asked.decoded != nil {
				if fields := unset(reflect.ValueOf(asked.decoded), ""); len(fields) > 0 {
					t.Errorf("no parameter of the recording sets %q", fields)
				}
			}
			for name := range action.ignored {
				if !slices.ContainsFunc(keys(values), func(given string) bool {
					return action.ignores(given) != "" && within(given, name)
				}) {
					t.Errorf("%s is ignored, and there is no such parameter", name)
				}
			}
		})
	}
	t.Logf("%d recorded requests", len(face.actions))
}

func keys(values url.Values) []string {
	var all []string
	for name := range values {
		all = append(all, name)
	}
	return all
}

// within says whether a parameter is the ignored one, or below it.
func within(given, ignored string) bool {
	plain := regexp.MustCompile(`\.\d+`).ReplaceAllString(given, ".N")
	return plain == ignored || strings.HasPrefix(plain, ignored+".")
}

// What a recording has and nobody ignores must not be ignored by accident.
func TestAStrangeParameterIsRefusedWhereStrict(t *testing.T) {
	t.Parallel()
	face := New(Options{})
	for _, name := range []string{"Colour", "SubnetId.1", "SecurityGroupId", "SecurityGroupId.0", "SecurityGroupId.01", "TagSpecification.1.Tag.1.Colour", "Ipv6Addresses.1.Colour"} {
		values := url.Values{
			"Action": {"CreateNetworkInterface"}, "Version": {version}, "SubnetId": {"subnet-1"},
			"TagSpecification.1.ResourceType": {"network-interface"}, "Ipv6Addresses.1.Ipv6Address": {"fd00::1"}, name: {"x"},
		}
		if _, no := face.parse(values, true); no == nil || no.code != "UnknownParameter" || !strings.Contains(no.message, name) {
			t.Errorf("%s: %+v", name, no)
		}
		if _, no := face.parse(values, false); no != nil {
			t.Errorf("%s, not strict: %+v", name, no)
		}
	}
}
