from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import APIView

from common.pagination import paged, read_cursor, read_limit
from common.serializers import validated
from moderation import actions, representations
from moderation.models import Report
from moderation.serializers import ReportSerializer
from moderation.throttles import ReportThrottle
from users.authentication import UserRequest
from users.guards import find_user


class ReportsView(APIView):
    throttle_classes = [ReportThrottle]

    def get(self, request: UserRequest) -> Response:
        limit = read_limit(request, default=20)
        own = Report.objects.filter(reporter=request.user).only(*representations.FIELDS)
        reports, more_after = own.page(limit, after=read_cursor(request))
        return paged(request, [representations.of_report(report) for report in reports], more_after)

    def post(self, request: UserRequest) -> Response:
        report = validated(ReportSerializer, request)
        made = actions.report(request.user, find_user(report.pop("username")), **report)
        return Response(representations.of_report(made), status.HTTP_201_CREATED)
