# shellcheck shell=sh
# What a shell script says for what the monitor does in the network: sourced by
# the scripts with which staging is compared. $uid is the VMMs'.
# shellcheck disable=SC2154

# bridge_up: the bridge and its rules, as banger-privsep(7) tells them.
bridge_up() {
	ip link add br-sh type bridge
	ip addr add 172.30.9.1/24 dev br-sh
	ip link set br-sh up
	nft -f - <<-'NFT'
		table bridge sh {
			set guests { type ifname . ether_addr . ipv4_addr; }
			chain pre { type filter hook prerouting priority -300;
				iifname "sh*" ether type ip iifname . ether saddr . ip saddr != @guests drop; }
		}
		table inet sh {
			set nat { type ipv4_addr; }
			chain input { type filter hook input priority 0; iifname br-sh ct state established accept
				iifname br-sh icmp type echo-request accept
				iifname br-sh drop; }
			chain forward { type filter hook forward priority 0; iifname br-sh ip saddr @nat accept
				oifname br-sh ct state established accept
				iifname br-sh drop
				oifname br-sh drop; }
			chain post { type nat hook postrouting priority 100; ip saddr @nat oifname != br-sh masquerade; }
		}
	NFT
	echo 1 >/proc/sys/net/ipv4/conf/br-sh/forwarding
}

bridge_down() {
	nft delete table bridge sh
	nft delete table inet sh
	ip link del br-sh
}

# tap_up N: the tap of VM N, its set elements and NAT.
tap_up() {
	ip tuntap add dev "sh$1" mode tap user "$uid" group "$uid"
	ip link set "sh$1" master br-sh
	bridge link set dev "sh$1" isolated on learning off
	ip link set "sh$1" up
	nft add element bridge sh guests "{ sh$1 . 02:fc:ac:1e:09:$(printf %02x "$1") . 172.30.9.$1 }"
	nft add element inet sh nat "{ 172.30.9.$1 }"
}

tap_down() {
	nft delete element bridge sh guests "{ sh$1 . 02:fc:ac:1e:09:$(printf %02x "$1") . 172.30.9.$1 }"
	nft delete element inet sh nat "{ 172.30.9.$1 }"
	ip link del "sh$1"
}
