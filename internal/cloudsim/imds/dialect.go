package imds

import (
	"net/http"
	"regexp"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A Dialect is how one cloud spells its service: EC2() or ECS().
type Dialect struct {
	// ttlHeader and tokenHeader are as net/http writes them; echoesTTL: the answer
	// with a token has the first too.
	ttlHeader, tokenHeader string
	echoesTTL              bool
	// server is in each answer; empty is none.
	server string
	// throttled is the status where too much is asked.
	throttled int
	// version is what the first element of a path may be, and versions their list.
	// All tell the same.
	version  *regexp.Regexp
	versions string
	// key makes the id of a temporary key out of random text.
	key func(random string) string
	// read answers a path behind the version.
	read func(s *Service, id string, g *cloudsim.Guest, path string, oldKeys bool) answer
}

// EC2 is AWS's, in its second version.
func EC2() Dialect {
	return Dialect{
		ttlHeader: "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", tokenHeader: "X-Aws-Ec2-Metadata-Token", echoesTTL: true,
		server: "EC2ws", throttled: http.StatusServiceUnavailable,
		version: regexp.MustCompile(`^(latest|1\.0|20\d\d-\d\d-\d\d)$`), versions: "1.0\nlatest",
		key:  func(random string) string { return "ASIA" + letters(random, 16) },
		read: (*Service).readEC2,
	}
}

// ECS is Alibaba Cloud's. Its normal mode, without tokens, is Options.Optional.
func ECS() Dialect {
	return Dialect{
		ttlHeader: "X-Aliyun-Ecs-Metadata-Token-Ttl-Seconds", tokenHeader: "X-Aliyun-Ecs-Metadata-Token",
		throttled: http.StatusTooManyRequests,
		version:   regexp.MustCompile(`^(latest|20\d\d-\d\d-\d\d)$`), versions: "2016-01-01\nlatest",
		key:  func(random string) string { return "STS." + letters(random, 24) },
		read: (*Service).readECS,
	}
}
