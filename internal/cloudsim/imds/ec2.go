package imds

import (
	"net/http"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// readEC2 answers a path behind the version.
func (s *Service) readEC2(id string, g *cloudsim.Guest, path string, oldKeys bool) answer {
	top, rest, _ := strings.Cut(path, "/")
	switch top {
	case "":
		return plain("dynamic\nmeta-data")
	case "dynamic":
		return ec2Identity(g, rest)
	case "meta-data":
	default:
		return refusal(http.StatusNotFound)
	}
	if rest == "iam" || strings.HasPrefix(rest, "iam/") {
		return s.ec2Role(id, g.Account, strings.TrimPrefix(rest, "iam"), oldKeys)
	}
	t := ec2Tree(g, s.Tags)
	if s.Role(id) != "" {
		t["iam/info"] = "there"
	}
	text, ok := t.read(rest)
	if !ok {
		return refusal(http.StatusNotFound)
	}
	return plain(text)
}

// ec2Role answers below meta-data/iam.
func (s *Service) ec2Role(id, account, path string, old bool) answer {
	const list = "security-credentials"
	role := s.Role(id)
	path = strings.Trim(path, "/")
	switch {
	case role == "":
		return refusal(http.StatusNotFound)
	case path == "":
		return plain("info\n" + list + "/")
	case path == "info":
		return document(map[string]string{
			"Code": "Success", "LastUpdated": s.key(id, role).Issued.UTC().Format(time.RFC3339),
			"InstanceProfileArn": "arn:aws:iam::" + account + ":instance-profile/" + role, "InstanceProfileId": "AIPA" + letters(strings.Repeat(role, 17), 17),
		})
	case path == list:
		return plain(role)
	case path != list+"/"+role:
		return refusal(http.StatusNotFound)
	}
	k := s.given(id, role, old)
	return document(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": k.Issued.UTC().Format(time.RFC3339), "Expiration": k.Expires.UTC().Format(time.RFC3339),
		"AccessKeyId": k.ID, "SecretAccessKey": k.Secret, "Token": k.Session,
	})
}
