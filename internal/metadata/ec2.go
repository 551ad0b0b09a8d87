package metadata

import (
	"context"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// EC2 is AWS's dialect, in its second version, where a token must be asked for.
func EC2() Dialect {
	return Dialect{
		cloud: "EC2", unheard: " In a container the instance's hop limit must be 2 or more", base: "http://169.254.169.254", tokenPath: "/latest/api/token",
		ttlHeader: "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", tokenHeader: "X-Aws-Ec2-Metadata-Token", echoesTTL: true,
		rolePath: "/latest/meta-data/iam/security-credentials/",
		identity: ec2Identity,
		field:    "aws.region", endpoint: ec2Endpoint,
	}
}

func ec2Identity(ctx context.Context, c *Client) (Identity, error) {
	var doc struct {
		InstanceID       nic.InstanceID `json:"instanceId"`
		InstanceType     string         `json:"instanceType"`
		Region           string         `json:"region"`
		AvailabilityZone string         `json:"availabilityZone"`
		AccountID        string         `json:"accountId"`
	}
	if err := c.document(ctx, "/latest/dynamic/instance-identity/document", &doc); err != nil {
		return Identity{}, err
	}
	id := Identity{doc.InstanceID, doc.InstanceType, doc.Region, doc.AvailabilityZone, doc.AccountID}
	return id, id.check("instanceId", "instanceType", "region", "availabilityZone")
}

// ec2Endpoint heeds what AWS's own tools are told.
func ec2Endpoint(getenv func(string) string) (string, error) {
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return "", fmt.Errorf("%w: AWS_EC2_METADATA_DISABLED is set", ErrRefused)
	}
	return strings.TrimSuffix(getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/"), nil
}
