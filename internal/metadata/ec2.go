package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// EC2 is AWS's dialect, in its second version, where a token must be asked for.
func EC2() Dialect {
	return Dialect{
		cloud: "EC2", base: "http://169.254.169.254", tokenPath: "/latest/api/token",
		ttlHeader: "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", tokenHeader: "X-Aws-Ec2-Metadata-Token", echoesTTL: true,
		rolePath: "/latest/meta-data/iam/security-credentials/",
		identity: ec2Identity,
	}
}

func ec2Identity(ctx context.Context, c *Client) (Identity, error) {
	const path = "/latest/dynamic/instance-identity/document"
	text, err := c.get(ctx, path)
	if errors.Is(err, errAbsent) {
		return Identity{}, fmt.Errorf("%w: %s has no %s", ErrStrange, c.BaseURL, path)
	}
	if err != nil {
		return Identity{}, err
	}
	var doc struct {
		InstanceID       nic.InstanceID `json:"instanceId"`
		InstanceType     string         `json:"instanceType"`
		Region           string         `json:"region"`
		AvailabilityZone string         `json:"availabilityZone"`
		AccountID        string         `json:"accountId"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return Identity{}, fmt.Errorf("%w: %s is not JSON: %w", ErrStrange, path, err)
	}
	id := Identity{doc.InstanceID, doc.InstanceType, doc.Region, doc.AvailabilityZone, doc.AccountID}
	for _, f := range [][2]string{{"instanceId", string(id.Instance)}, {"instanceType", id.Type}, {"region", id.Region}, {"availabilityZone", id.Zone}} {
		if !isWord(f[1]) {
			return Identity{}, fmt.Errorf("%w: in %s the %s is %.40q", ErrStrange, path, f[0], f[1])
		}
	}
	return id, nil
}

// EC2Endpoint is where AWS's own tools are told that the service is, by the
// environment; empty if they are not told. ErrRefused if they are told not to ask.
func EC2Endpoint(getenv func(string) string) (string, error) {
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return "", fmt.Errorf("%w: AWS_EC2_METADATA_DISABLED is set", ErrRefused)
	}
	return strings.TrimSuffix(getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/"), nil
}
