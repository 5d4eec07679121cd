from common.rates import UserThrottle


class ReportThrottle(UserThrottle):
    setting = "REPORT_RATE"
    methods = ("POST",)
