// Ports by the names people type behind --dport. iptables asks /etc/services for them and iptables-save prints numbers;
// these are the names of Debian's file that firewalls ask for.

enum PortNames {
    static func number(of name: some StringProtocol) -> UInt16? { numbers[String(name)] }

    private static let numbers: [String: UInt16] = [
        "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "mail": 25, "time": 37, "whois": 43,
        "domain": 53, "bootps": 67, "bootpc": 68, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "www": 80,
        "kerberos": 88, "pop3": 110, "pop-3": 110, "sunrpc": 111, "portmapper": 111, "auth": 113, "ident": 113,
        "nntp": 119, "ntp": 123, "epmap": 135, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
        "imap2": 143, "imap": 143, "snmp": 161, "snmp-trap": 162, "snmptrap": 162, "bgp": 179, "irc": 194,
        "ldap": 389, "https": 443, "microsoft-ds": 445, "submissions": 465, "ssmtp": 465, "smtps": 465, "isakmp": 500,
        "syslog": 514, "printer": 515, "submission": 587, "ipp": 631, "ldaps": 636, "domain-s": 853, "rsync": 873,
        "ftps": 990, "telnets": 992, "imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433,
        "ms-sql-m": 1434, "l2f": 1701, "radius": 1812, "radius-acct": 1813, "nfs": 2049, "iscsi-target": 3260,
        "mysql": 3306, "ms-wbt-server": 3389, "svn": 3690, "ipsec-nat-t": 4500, "sip": 5060, "sip-tls": 5061,
        "xmpp-client": 5222, "xmpp-server": 5269, "mdns": 5353, "postgresql": 5432, "amqp": 5672, "redis": 6379,
        "http-alt": 8080, "git": 9418, "zabbix-agent": 10_050, "zabbix-trapper": 10_051, "amqps": 5671,
    ]
}
