//go:build linux

package aws

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/cloudrig"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// A profile is a caller of the cloud, by whose name a provider is configured.
type profile struct {
	key    string // the access key
	region string // eu-central-1
	// unknown: the cloud has never heard of it.
	unknown bool
	ec2.Key
}

func namesOf(profiles map[string]profile) []string { return slices.Sorted(maps.Keys(profiles)) }

// providersOf is the config of a provider for each profile.
func providersOf(profiles map[string]profile) string {
	var text strings.Builder
	for _, name := range namesOf(profiles) {
		region := profiles[name].region
		if region == "" {
			region = "eu-central-1"
		}
		text.WriteString(vendors.EC2().Provider(name, region, cloudrig.Endpoint, "profile: "+name))
	}
	return text.String()
}

// credentials is the SDK's file of them.
func credentials(a site.About, profiles map[string]profile) string {
	var text strings.Builder
	fmt.Fprintf(&text, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", a.AccessKey, a.SecretKey)
	for _, name := range namesOf(profiles) {
		p := profiles[name]
		fmt.Fprintf(&text, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, p.key, p.Secret)
		if p.Session != "" {
			fmt.Fprintf(&text, "aws_session_token = %s\n", p.Session)
		}
	}
	return text.String()
}

func keysOf(profiles map[string]profile) map[string]ec2.Key {
	keys := map[string]ec2.Key{}
	for _, p := range profiles {
		if !p.unknown {
			keys[p.key] = p.Key
		}
	}
	return keys
}
